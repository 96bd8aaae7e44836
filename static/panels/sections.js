// What is known of one gateway, part by part: alerts, units, strings, temperatures, fans, meters, links.

import { t } from "../words.js";
import { alerts } from "./alerts.js";
import { reached } from "./health.js";
import { fans, meters, strings, temps, units } from "./units.js";

/** In the order of a gateway's card: `{ id, title, make }`; `make()` gives `{ node, draw(context, id) }`, and `draw`
 * says whether there is anything to show. */
export const SECTIONS = [
  { id: "alerts", title: t("Alerts"), make: alerts, isWide: true },
  { id: "powerwall", title: t("Batteries"), make: units, isWide: true },
  { id: "strings", title: t("Solar strings"), make: strings },
  { id: "temps", title: t("Temperatures"), make: temps },
  { id: "fans", title: t("Fans"), make: fans },
  { id: "meters", title: t("Voltages and frequencies"), make: meters },
  { id: "health", title: t("Connection"), make: reached },
];
