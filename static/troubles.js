// What is wrong with a gateway, in words for who passes by. The console has the words of the error itself.

import { t } from "./words.js";

const WORDS = {
  unreachable: t("not reached over the network"),
  timeout: t("does not answer"),
  refused: t("refuses the password"),
  rate_limited: t("asks to be left alone for a while"),
  busy: t("is busy"),
  silence: t("asks to be left alone for a while"),
  login_budget: t("waits before the next login"),
  certificate: t("shows a certificate that is not trusted"),
  key_pending: t("waits for its key to be confirmed"),
  key_timed_out: t("its key was not confirmed in time"),
  key_inactive: t("does not accept the key"),
  key_unknown: t("does not know the key"),
  login_needed: t("needs a new login to Tesla"),
  tokens_refused: t("Tesla refuses its tokens"),
  gone: t("Tesla no longer offers this over the owners API"),
  no_http2: t("Tesla cannot be asked for new tokens"),
  files: t("its token file cannot be used"),
  no_permission: t("the owner has not allowed this to Tesla's cloud"),
  payment: t("Tesla asks for a payment first"),
  budget: t("today's requests to Tesla are used up"),
  offline: t("is not connected to Tesla"),
};

/** Of an error `{ kind, message }`; `null` without one. */
export const inPassing = (error) => (error ? (WORDS[error.kind] ?? t("does not answer as expected")) : null);
