// What the page knows of the fleet: objects by kind and key, as the feed tells them, and sums made of them once.

const MOST_EVENTS = 1000;
const OPEN_PHASES = new Set(["Pending", "Checked", "Prepared", "Shifting", "Drained", "Retired", "RollingBack"]);

/** The kinds the page follows, by plural. */
export const KINDS = { subclusters: "SubCluster", placements: "Placement", migrations: "Migration", events: "Event" };
const PLURALS = Object.fromEntries(Object.entries(KINDS).map(([plural, kind]) => [kind, plural]));

export const keyOf = (object) => `${object.metadata.namespace ?? ""}/${object.metadata.name}`;
const versionOf = (object) => Number(object.metadata.resourceVersion);

export class Store {
  #objects = Object.fromEntries(Object.keys(KINDS).map((plural) => [plural, new Map()]));
  #revisions = Object.fromEntries(Object.keys(KINDS).map((plural) => [plural, 0]));
  #made = new Map();
  #changed;

  /** `changed(plural, object, type)` is called for each change that is news; type "" for a whole list. */
  constructor(changed) {
    this.#changed = changed;
    this.usage = new Map();
    this.usageRevision = 0;
  }

  /** Take a page of a list. It counts whatever was known before: the server's store may have been restored. */
  take(plural, items) {
    for (const item of items) this.#objects[plural].set(keyOf(item), item);
    this.#touch(plural);
    if (plural === "events") this.#forgetEvents();
    this.#changed(plural, null, "");
  }

  /** After a whole list: forget what was not in it. */
  keepOnly(plural, keys) {
    for (const key of this.#objects[plural].keys()) if (!keys.has(key)) this.#objects[plural].delete(key);
    this.#touch(plural);
    this.#changed(plural, null, "");
  }

  /** Take one line of the feed. */
  apply({ type, object }) {
    const plural = PLURALS[object.kind];
    if (!plural) return;
    const old = this.#objects[plural].get(keyOf(object));
    if (old && versionOf(old) >= versionOf(object)) return;
    if (type === "DELETED") this.#objects[plural].delete(keyOf(object));
    else this.#objects[plural].set(keyOf(object), object);
    this.#touch(plural);
    if (plural === "events") this.#forgetEvents();
    this.#changed(plural, object, type);
  }

  setUsage(items) {
    this.usage = new Map(items.map((item) => [item.name, item]));
    this.usageRevision += 1;
  }

  get(plural, key) { return this.#objects[plural].get(key); }
  count(plural) { return this.#objects[plural].size; }

  /** Sub-clusters by name. */
  get subclusters() {
    return this.#make("subclusters", ["subclusters"], () => this.#sorted("subclusters"));
  }

  get placements() {
    return this.#make("placements", ["placements"], () => this.#sorted("placements"));
  }

  /** Migrations, those under way first, then the newest first. */
  get migrations() {
    return this.#make("migrations", ["migrations"], () => {
      const all = [...this.#objects.migrations.values()];
      return all.sort((a, b) => isOpen(b) - isOpen(a) || newer(a.metadata.creationTimestamp, b.metadata.creationTimestamp));
    });
  }

  get openMigrations() {
    return this.#make("openMigrations", ["migrations"], () => this.migrations.filter(isOpen));
  }

  /** Events, the newest first. */
  get events() {
    return this.#make("events", ["events"], () =>
      [...this.#objects.events.values()].sort((a, b) => newer(a.eventTime, b.eventTime) || versionOf(b) - versionOf(a)));
  }

  /** The placements that have replicas in each sub-cluster, by its name. */
  get bySubcluster() {
    return this.#make("bySubcluster", ["placements"], () => {
      const found = new Map();
      for (const placement of this.placements) {
        for (const target of placement.spec.targets) {
          if (!found.has(target.subcluster)) found.set(target.subcluster, []);
          found.get(target.subcluster).push(placement);
        }
      }
      return found;
    });
  }

  /** Something made of the objects of some kinds (and of `also`), made again only after one of them changed. */
  once(name, plurals, make, also = "") { return this.#make(`once:${name}`, plurals, make, also); }

  #make(name, plurals, make, also = "") {
    const revision = [...plurals.map((plural) => this.#revisions[plural]), also].join();
    const made = this.#made.get(name);
    if (made?.revision === revision) return made.value;
    const value = make();
    this.#made.set(name, { revision, value });
    return value;
  }

  #sorted(plural) {
    return [...this.#objects[plural].entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
  }

  #touch(plural) { this.#revisions[plural] += 1; }

  #forgetEvents() {
    if (this.#objects.events.size <= MOST_EVENTS * 1.2) return;
    for (const event of this.events.slice(MOST_EVENTS)) this.#objects.events.delete(keyOf(event));
    this.#touch("events");
  }
}

export const isOpen = (migration) => OPEN_PHASES.has(migration.status.phase);
const newer = (a, b) => (a === b ? 0 : a > b ? -1 : 1);
