// What the alerts of a gateway mean, as sentences. A name that is not here is split into its words, which are English.

import { t } from "../words.js";

/** By name: how serious it is, and what it means. */
const SENTENCES = {
  BatteryComms: ["warning", t("The gateway has lost contact with a battery.")],
  BatteryFault: ["warning", t("A battery reports a fault.")],
  BatteryBreakerOpen: ["warning", t("The breaker of a battery is open.")],
  BatteryUnexpectedPower: ["warning", t("A battery delivers or draws power that was not requested.")],
  BMS_a067_SW_Pack_OT_Fault: ["warning", t("A battery is too hot.")],
  FWUpdateSucceeded: ["notice", t("New firmware was installed.")],
  GridCodesWrite: ["notice", t("The grid code settings were written to the inverters.")],
  GridCodesWriteError: ["warning", t("The grid code settings could not be written to the inverters.")],
  GridFreqHigh: ["warning", t("The grid frequency is too high.")],
  GridFreqLow: ["warning", t("The grid frequency is too low.")],
  GridOutage: ["warning", t("The grid is down.")],
  GridVoltageHigh: ["warning", t("The grid voltage is too high.")],
  GridVoltageLow: ["warning", t("The grid voltage is too low.")],
  HighCPU: ["info", t("The gateway is very busy.")],
  IslandingControllerMIA: ["warning", t("The gateway has lost contact with its grid switch.")],
  PINV_a010_can_gtwMIA: ["warning", t("An inverter has lost contact with the gateway.")],
  PodCommissionTime: ["notice", t("A battery was commissioned.")],
  PodCommissionError: ["warning", t("A battery could not be commissioned.")],
  PVAC_a019_ambient_overtemperature: ["warning", t("It is too hot around the solar inverter.")],
  PVAC_a035_VFCheck_Over_Voltage: ["warning", t("The solar inverter measures a grid voltage that is too high.")],
  PVAC_W_Over_Temp: ["warning", t("The solar inverter is hot and produces less.")],
  PVS_a018_MciStringB: ["warning", t("A rapid shutdown device on string B does not answer.")],
  PVS_a019_MciStringC: ["warning", t("A rapid shutdown device on string C does not answer.")],
  PVS_a020_MciStringD: ["warning", t("A rapid shutdown device on string D does not answer.")],
  PVS_a060_MciClose: ["info", t("The rapid shutdown devices of the panels are closing.")],
  RealPowerAvailableLimited: ["info", t("The batteries can deliver less power than usual.")],
  RealPowerConfigLimited: ["info", t("A setting limits the power.")],
  ScheduledIslandContactorOpen: ["info", t("The home was disconnected from the grid on purpose.")],
  SelfTest: ["info", t("The system is testing itself.")],
  SiteMinPowerLimited: ["info", t("Export to the grid is limited.")],
  SiteMaxPowerLimited: ["info", t("Import from the grid is limited.")],
  SolarChargeOnlyLimited: ["info", t("The batteries charge from solar only.")],
  SolarMeterComms: ["warning", t("The gateway has lost contact with the solar meter.")],
  SolarRGMMeterComms: ["warning", t("The gateway has lost contact with the solar meter.")],
  SiteMeterComms: ["warning", t("The gateway has lost contact with the grid meter.")],
  SystemConnectedToGrid: ["notice", t("The home is connected to the grid.")],
  SystemIslandedActive: ["info", t("The home runs without the grid.")],
  SystemIslandedReady: ["info", t("The system is ready to run without the grid.")],
  SystemShutdown: ["warning", t("The system is shut down.")],
  UnscheduledIslandContactorOpen: ["warning", t("The home was disconnected because the grid failed.")],
  WaitForGridToSync: ["info", t("The grid is back; the home will be reconnected soon.")],
  WaitForUser: ["info", t("The system waits to be turned on by hand.")],
};

/** `PVAC_W_Over_Temp` → words that break where people would break them. */
const words = (name) => name.replace(/_[awfe]\d{3}_/i, " ").replaceAll("_", " ").replace(/([a-z])([A-Z])/g, "$1 $2");

/** How serious an alert is, and what it means: `{ kind, text }`. */
export function sentence(name) {
  const [kind, text] = SENTENCES[name] ?? ["warning", words(name)];
  return { kind, text };
}
