// The part that changes is sent whole; what had the focus has it afterwards.
const main = document.getElementById("main");
const source = new EventSource("/events");
source.onmessage = (message) => {
  const focused = main.contains(document.activeElement) && document.activeElement.id;
  main.innerHTML = message.data;
  if (focused) document.getElementById(focused)?.focus({preventScroll: true});
};
