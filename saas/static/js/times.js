// The server writes dates in UTC; this says the same moments in the reader's own time zone.
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "short" });

for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.valueOf()) || !time.dateTime.includes("T")) continue;
  time.textContent = day.format(moment);
  time.title = exact.format(moment);
}
