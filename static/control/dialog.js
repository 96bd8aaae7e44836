// Asks before something dangerous is ordered.

import { el } from "../dom.js";
import { t } from "../words.js";

/** Whether the person means it. Closing it any other way is a no. */
export function confirmed(gateway, danger) {
  const no = el("button", { type: "button", class: "push", autofocus: true }, t("Cancel"));
  const yes = el("button", { type: "button", class: "push danger" }, t("Go ahead"));
  const dialog = el("dialog", { "aria-label": t("Confirm") }, el("h2", null, gateway), el("p", null, danger), el("div", { class: "answers" }, no, yes));
  document.body.append(dialog);
  return new Promise((resolve) => {
    let isMeant = false;
    no.addEventListener("click", () => dialog.close());
    yes.addEventListener("click", () => {
      isMeant = true;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(isMeant);
    });
    dialog.showModal();
  });
}
