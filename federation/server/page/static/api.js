// Speaks to the API this page came from. The token lives in sessionStorage: it ends with the tab.

export const BASE = "/apis/roam.federation/v1alpha1";
const PAGE = 500;
const TOKEN = "roam.token";
const NAMESPACE = "roam.namespace";

/** A refusal, or no answer at all (code 0). */
export class ApiError extends Error {
  constructor(code, message, retryAfterS = 0) {
    super(message);
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** What this tab is signed in with; `namespace` "": all of them. */
export const session = {
  get token() { return sessionStorage.getItem(TOKEN) ?? ""; },
  get namespace() { return sessionStorage.getItem(NAMESPACE) ?? ""; },
  begin(token, namespace) {
    sessionStorage.setItem(TOKEN, token);
    sessionStorage.setItem(NAMESPACE, namespace);
  },
  end() {
    sessionStorage.removeItem(TOKEN);
    sessionStorage.removeItem(NAMESPACE);
  },
};

/** The path of a collection, or of an object; `namespace` "": all namespaces, or a kind of the fleet's own. */
export function pathOf(plural, namespace = "", ...rest) {
  const parts = namespace ? ["namespaces", namespace, plural, ...rest] : [plural, ...rest];
  return [BASE, ...parts.map(encodeURIComponent)].join("/");
}

/** GET `path`. Throws ApiError. */
async function request(path, query = {}, signal = undefined) {
  const text = new URLSearchParams(query).toString();
  let answer;
  try {
    answer = await fetch(text ? `${path}?${text}` : path, {
      headers: { Authorization: `Bearer ${session.token}`, Accept: "application/json" },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer.");
  }
  if (answer.ok) return answer;
  const status = await answer.json().catch(() => ({}));
  throw new ApiError(
    answer.status,
    status.message || `The server answered ${answer.status}.`,
    Number(answer.headers.get("Retry-After")) || 0,
  );
}

/** What is at `path`, and whether it is as new as the store. */
export async function get(path, signal) {
  const answer = await request(path, {}, signal);
  return { body: await answer.json(), fresh: answer.headers.get("X-Roam-Fresh") !== "false" };
}

/** All objects of a kind, a page at a time: calls `each(items)`; returns the version as of which they are. */
export async function list(plural, namespace, each, signal) {
  let more = "";
  for (;;) {
    const query = { limit: String(PAGE), ...(more ? { continue: more } : {}) };
    const page = await (await request(pathOf(plural, namespace), query, signal)).json();
    each(page.items);
    more = page.metadata.continue;
    if (!more) return Number(page.metadata.resourceVersion);
  }
}

/** The changes of several kinds after a version, one by one, until the server ends the stream. */
export async function* changes(kinds, namespace, since, signal) {
  const query = { kinds: kinds.join(","), resourceVersion: String(since), ...(namespace ? { namespace } : {}) };
  const answer = await request(`${BASE}/feed`, query, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "The connection to the server broke.");
    }
    if (part.done) return;
    const lines = (rest + part.value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const change = JSON.parse(line);
      if (change.type === "ERROR") throw new ApiError(change.object.code, change.object.message);
      yield change;
    }
  }
}
