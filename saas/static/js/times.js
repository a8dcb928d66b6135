// The server formats dates in UTC, so that pages, emails and invoices show the same day. The
// tooltip shows the time in the reader's time zone.
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.valueOf()) || !time.dateTime.includes("T")) continue;
  time.title = exact.format(moment);
}
