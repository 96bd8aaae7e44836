// The field for the token, and who is signed in.

import { el, say, show } from "../dom.js";
import { t } from "../words.js";
import { isSignedIn, signIn, signOut } from "./holder.js";

/** Why a token is not taken. The room that holds it imports nothing, not even words. */
const WHY = {
  "Type a token": t("Type a token"),
  "This token is not accepted": t("This token is not accepted"),
  "The server does not answer": t("The server does not answer"),
};

export class Door {
  #field = el("input", { type: "password", autocomplete: "off", "aria-label": t("Token"), placeholder: t("Token"), spellcheck: "false" });
  #why = el("p", { class: "why", role: "status" });
  #form;
  #who = el("p", { class: "who" });
  #out = el("button", { type: "button", class: "push", on: { click: signOut } }, t("Forget the token"));
  #path = null;

  constructor() {
    const submit = async (event) => {
      event.preventDefault();
      if (this.#path === null) return;
      say(this.#why, "");
      const why = await signIn(this.#field, this.#path);
      say(this.#why, WHY[why] ?? why ?? "");
    };
    this.#form = el("form", { class: "door", on: { submit } }, this.#field, el("button", { type: "submit", class: "push" }, t("Unlock")));
    this.node = el("div", { class: "door" }, this.#form, this.#why, el("div", { class: "heading" }, this.#who, this.#out));
  }

  draw(id, role) {
    this.#path = `api/gateways/${encodeURIComponent(id)}/control`;
    const isIn = isSignedIn();
    show(this.#form, !isIn);
    show(this.#why, !isIn && this.#why.textContent !== "");
    show(this.#out, isIn);
    const known = { viewer: t("This token may only read"), operator: t("Operator"), owner: t("Owner") }[role] ?? "";
    say(this.#who, isIn ? known : t("Changes need a token. It is kept until this page is closed or reloaded."));
  }
}
