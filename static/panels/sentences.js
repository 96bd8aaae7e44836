// What the alerts of a gateway mean, as sentences. A name that is not here is split into its words.

/** By name: how serious it is, and what it means. */
const SENTENCES = {
  BatteryComms: ["warning", "The gateway has lost contact with a battery."],
  BatteryFault: ["warning", "A battery reports a fault."],
  BatteryBreakerOpen: ["warning", "The breaker of a battery is open."],
  BatteryUnexpectedPower: ["warning", "A battery gives or takes power that nobody asked for."],
  BMS_a067_SW_Pack_OT_Fault: ["warning", "A battery is too hot."],
  FWUpdateSucceeded: ["notice", "New firmware was installed."],
  GridCodesWrite: ["notice", "The rules of the grid operator were written to the inverters."],
  GridCodesWriteError: ["warning", "The rules of the grid operator could not be written to the inverters."],
  GridFreqHigh: ["warning", "The frequency of the grid is too high."],
  GridFreqLow: ["warning", "The frequency of the grid is too low."],
  GridOutage: ["warning", "The grid is away."],
  GridVoltageHigh: ["warning", "The voltage of the grid is too high."],
  GridVoltageLow: ["warning", "The voltage of the grid is too low."],
  HighCPU: ["info", "The gateway is very busy."],
  IslandingControllerMIA: ["warning", "The gateway has lost contact with its grid switch."],
  PINV_a010_can_gtwMIA: ["warning", "An inverter has lost contact with the gateway."],
  PodCommissionTime: ["notice", "A battery was put into service."],
  PodCommissionError: ["warning", "A battery could not be put into service."],
  PVAC_a019_ambient_overtemperature: ["warning", "It is too hot around the solar inverter."],
  PVAC_a035_VFCheck_Over_Voltage: ["warning", "The solar inverter measures too high a voltage of the grid."],
  PVAC_W_Over_Temp: ["warning", "The solar inverter is hot and produces less."],
  PVS_a018_MciStringB: ["warning", "A rapid shutdown device of string B does not answer."],
  PVS_a019_MciStringC: ["warning", "A rapid shutdown device of string C does not answer."],
  PVS_a020_MciStringD: ["warning", "A rapid shutdown device of string D does not answer."],
  PVS_a060_MciClose: ["info", "The rapid shutdown devices of the panels are being closed."],
  RealPowerAvailableLimited: ["info", "The batteries can give less power than usual."],
  RealPowerConfigLimited: ["info", "The power is limited by a setting."],
  ScheduledIslandContactorOpen: ["info", "The home is disconnected from the grid on purpose."],
  SelfTest: ["info", "The system tests itself."],
  SiteMinPowerLimited: ["info", "Export to the grid is limited."],
  SiteMaxPowerLimited: ["info", "Import from the grid is limited."],
  SolarChargeOnlyLimited: ["info", "The batteries are charged by the sun alone."],
  SolarMeterComms: ["warning", "The gateway has lost contact with the solar meter."],
  SolarRGMMeterComms: ["warning", "The gateway has lost contact with the solar meter."],
  SiteMeterComms: ["warning", "The gateway has lost contact with the meter of the grid."],
  SystemConnectedToGrid: ["notice", "The home is connected to the grid."],
  SystemIslandedActive: ["info", "The home runs without the grid."],
  SystemIslandedReady: ["info", "The system is ready to run without the grid."],
  SystemShutdown: ["warning", "The system is shut down."],
  UnscheduledIslandContactorOpen: ["warning", "The home was disconnected from the grid because it failed."],
  WaitForGridToSync: ["info", "The grid is back; the home is about to be connected to it."],
  WaitForUser: ["info", "The system waits for somebody to turn it on."],
};

/** `PVAC_W_Over_Temp` → words that break where people would break them. */
const words = (name) => name.replace(/_[awfe]\d{3}_/i, " ").replaceAll("_", " ").replace(/([a-z])([A-Z])/g, "$1 $2");

/** How serious an alert is, and what it means: `{ kind, text }`. */
export function sentence(name) {
  const [kind, text] = SENTENCES[name] ?? ["warning", words(name)];
  return { kind, text };
}
