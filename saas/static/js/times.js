// The server writes dates in UTC, so that a page, a mail and an invoice name the same day. The
// tooltip says the moment in the reader's own time zone.
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.valueOf()) || !time.dateTime.includes("T")) continue;
  time.title = exact.format(moment);
}
