// Which sites are asked for and how they are shown, as the address of the page says it.

export const VIEWS = ["sites", "groups", "inventory"];
export const TROUBLES = ["offline", "outage", "alert", "low_charge", "old_firmware"];
export const SORTS = ["worst", "name", "charge", "firmware", "since"];
/** Rows of one page. */
export const ROWS = 100;

const listed = (list, value) => (list.includes(value) ? value : list[0]);

/** What `query` asks for; what it does not say is as usual. */
export function read(query) {
  const trouble = query.get("trouble");
  const page = Number(query.get("page"));
  return {
    view: listed(VIEWS, query.get("view")),
    search: query.get("search") ?? "",
    tags: [...new Set(query.getAll("tag"))],
    /** `null`: every group; empty: sites without one. */
    group: query.get("group"),
    trouble: TROUBLES.includes(trouble) ? trouble : null,
    sort: listed(SORTS, query.get("sort")),
    page: Number.isInteger(page) && page > 0 && page < 1e6 ? page : 1,
  };
}

/** The parameters that both the page and the server know. */
function filters(asked, query) {
  const search = asked.search.trim();
  if (search !== "") query.set("search", search);
  for (const tag of asked.tags) query.append("tag", tag);
  if (asked.group !== null) query.set("group", asked.group);
  if (asked.trouble !== null) query.set("trouble", asked.trouble);
  return query;
}

/** The filters as the server takes them. */
export const filtered = (asked) => filters(asked, new URLSearchParams());

/** One page of rows, as the server takes it. */
export function paged(asked) {
  const query = filtered(asked);
  if (asked.sort !== "worst") query.set("sort", asked.sort);
  query.set("limit", asked.view === "sites" ? ROWS : 1);
  if (asked.page > 1) query.set("offset", (asked.page - 1) * ROWS);
  return query;
}

/** The address of the page, with whatever else it says. */
export function addressed(asked) {
  const query = new URLSearchParams(location.search);
  for (const name of ["view", "search", "tag", "group", "trouble", "sort", "page"]) query.delete(name);
  filters(asked, query);
  if (asked.view !== "sites") query.set("view", asked.view);
  if (asked.sort !== "worst") query.set("sort", asked.sort);
  if (asked.page > 1) query.set("page", asked.page);
  const text = query.toString();
  return `${location.pathname}${text ? `?${text}` : ""}`;
}

export const isFiltered = ({ search, tags, group, trouble }) => search.trim() !== "" || tags.length > 0 || group !== null || trouble !== null;
