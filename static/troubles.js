// What is wrong with a gateway, in words for who passes by. The console has the words of the error itself.

const WORDS = {
  unreachable: "not reached over the network",
  timeout: "does not answer",
  refused: "refuses the password",
  rate_limited: "asks to be left alone for a while",
  busy: "is busy",
  silence: "asks to be left alone for a while",
  login_budget: "waits before the next login",
  certificate: "shows a certificate that is not trusted",
  key_pending: "waits for its key to be confirmed",
  key_timed_out: "its key was not confirmed in time",
  key_inactive: "does not accept the key",
  key_unknown: "does not know the key",
  login_needed: "needs a new login to Tesla",
  tokens_refused: "Tesla refuses its tokens",
  gone: "Tesla no longer offers this over the owners API",
  no_http2: "Tesla cannot be asked for new tokens",
  files: "its token file cannot be used",
  no_permission: "the owner has not allowed this to Tesla's cloud",
  payment: "Tesla asks for a payment first",
  budget: "today's requests to Tesla are used up",
  offline: "is not connected to Tesla",
};

/** Of an error `{ kind, message }`; `null` without one. */
export const inPassing = (error) => (error ? (WORDS[error.kind] ?? "does not answer as expected") : null);
