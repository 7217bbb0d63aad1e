// The page begins at its head again when a link led from it to itself.

let seen; // jumps of this session so far

export default function ({ data }) {
  if (seen !== undefined && data.jumps > seen) document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0);
  seen = data.jumps;
}
