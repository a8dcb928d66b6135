// Asks again after a while. Without JavaScript the page's own refresh does the same.
setTimeout(() => location.reload(), 5000);
