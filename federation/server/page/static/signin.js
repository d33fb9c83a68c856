// The form that asks for the token, once for each tab.

import { h } from "./dom.js";

/** `ask`: {error, namespaced, token, busy}; `submit(token, namespace)` when the form is sent. */
export function signIn(ask, submit) {
  const send = (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    submit(form.elements.token.value.trim(), form.elements.namespace?.value.trim() ?? "");
  };
  return h("form", { class: "signin", onsubmit: send, novalidate: true, autocomplete: "off" },
    h("h1", { tabindex: "-1" }, "Sign in"),
    h("p", { class: "quiet" }, "This page shows what the API shows to your token."),
    ask.error && h("p", { class: "note bad", role: "alert", id: "why" }, ask.error),
    h("label", null, "Token",
      h("input", { name: "token", type: "password", required: true, spellcheck: "false", autocapitalize: "off", autocomplete: "off",
        "aria-describedby": ask.error ? "why hint" : "hint", "aria-invalid": ask.error && !ask.namespaced ? "true" : null, value: ask.token ?? "" })),
    h("p", { class: "hint", id: "hint" }, "Made with ", h("code", null, "roam token create"), ", or the server's own, in ", h("code", null, "~/.roam/token"),
      ". It is kept in this tab only, until you close it or sign out."),
    h("label", null, "Namespace ", h("span", { class: "quiet" }, ask.namespaced ? "(this token needs one)" : "(empty: all)"),
      h("input", { name: "namespace", type: "text", spellcheck: "false", autocapitalize: "off", autocomplete: "off", required: ask.namespaced, value: ask.namespace ?? "" })),
    h("button", { type: "submit", class: "primary", disabled: ask.busy }, ask.busy ? "Signing in …" : "Sign in"));
}

/** What a refusal means for somebody who signs in. */
export function explainRefusal(error, namespace) {
  if (error.code === 401) return { error: "The server does not take this token. Is it this server's, and still valid?" };
  if (error.code === 403) {
    const advice = namespace ? "" : " Name a namespace below, and the page shows that one.";
    return { error: `${error.message}.${advice}`, namespaced: true };
  }
  return { error: error.code === 0 ? "The server does not answer. Is it running?" : error.message };
}
