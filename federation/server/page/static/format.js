// Numbers, times and states as people read them.

const GIB = 2 ** 30;
const number = (digits, least = 0) =>
  new Intl.NumberFormat("en", { maximumFractionDigits: digits, minimumFractionDigits: least });
const plain = number(2);
const one = number(1);
const four = number(4, 4);
const two = number(2, 2);
const percentage = number(0);
const countries = new Intl.DisplayNames(["en"], { type: "region", fallback: "code" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export const NONE = "–";
const CLOUDS = { aws: "AWS", gcp: "Google Cloud", azure: "Azure", onprem: "On-premises", oci: "Oracle Cloud" };

/** US dollars per hour: enough digits to tell small services apart. */
export function usd(amount) {
  if (typeof amount !== "number") return "unknown";
  return Math.abs(amount) >= 10 ? two.format(amount) : four.format(amount);
}

/** A difference, with its sign. */
export const difference = (amount) => (Math.abs(amount) < 5e-7 ? "±0" : `${amount > 0 ? "+" : "−"}${usd(Math.abs(amount))}`);
export const count = (amount) => (amount >= 100 ? one : plain).format(amount);
export const percent = (share) => `${percentage.format(share * 100)} %`;
export const gib = (bytes) => count(bytes / GIB);
export const cloud = (name) => CLOUDS[name] ?? name ?? "";
export const plural = (amount, one, many = `${one}s`) => `${count(amount)} ${amount === 1 ? one : many}`;

export function country(code) {
  try {
    return code ? countries.of(code) : "";
  } catch {
    return code;
  }
}

/** How long ago, as kubectl says it. */
export function age(timestamp, now = Date.now()) {
  const seconds = Math.max(0, Math.floor((now - Date.parse(timestamp)) / 1000));
  if (Number.isNaN(seconds)) return NONE;
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** A time of today by the clock, another with its day. */
export function time(timestamp) {
  const date = new Date(timestamp);
  if (Number.isNaN(date.getTime())) return NONE;
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : day.format(date);
}

export const where = (targets) => targets.map((target) => `${target.subcluster} ${target.replicas}`).join(", ") || NONE;

const condition = (object, type) => object.status.conditions.find((one) => one.type === type);

/** A placement in one word, the one that matters most, and whether it is good, a warning or bad. */
export function placementState(placement) {
  const { overtaken = [] } = placement.status;
  if (overtaken.length || condition(placement, "OutOfPolicy")?.status === "True") return { text: "Out of policy", tone: "bad" };
  const placed = condition(placement, "Placed");
  if (!placement.spec.targets.length && placed?.status === "False") return { text: words(placed.reason), tone: "bad" };
  const available = condition(placement, "Available");
  if (!available) return { text: "Pending", tone: "plain" };
  return { text: words(available.reason), tone: available.status === "True" ? "good" : "warn" };
}

export const readyOf = (placement) => placement.status.running.reduce((sum, one) => sum + one.ready, 0);
export const wantedOf = (placement) => placement.spec.targets.reduce((sum, one) => sum + one.replicas, 0);
export const costOf = (placement) => placement.status.proposed?.costUsdPerHour ?? null;

/** A sub-cluster's health in words, and its tone. */
export function healthState(subcluster) {
  const { health } = subcluster.status;
  const tone = { Healthy: "good", Lost: "bad", Silent: "warn", Returning: "warn" }[health] ?? "plain";
  const { drain, unschedulable } = subcluster.spec;
  if (drain) return { text: `${health}, draining`, tone: tone === "good" ? "warn" : tone };
  return unschedulable ? { text: `${health}, cordoned`, tone: tone === "good" ? "warn" : tone } : { text: health, tone };
}

/** `OutOfPolicy` as `Out of policy`. */
export function words(camel) {
  const spaced = String(camel ?? "").replace(/([a-z0-9])([A-Z])/g, "$1 $2");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1).toLowerCase();
}
