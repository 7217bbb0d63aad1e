// A drawing of a block: a click on a part tells Python its role; with a modifier key the link opens as usual.

export default function ({ parentElement, data, setTriggerValue }) {
  const holder = parentElement.querySelector(".block");
  if (holder.innerHTML !== data.svg) {
    const had = holder.getRootNode().activeElement?.dataset?.role;
    holder.innerHTML = data.svg;
    if (had) holder.querySelector(`a[data-role="${had}"]`)?.focus();
  }
  holder.onclick = (event) => {
    const part = event.target.closest("a[data-role]");
    if (!part || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    setTriggerValue("role", part.dataset.role);
  };
}
