// Reload the page after a while. Without JavaScript, the page's meta refresh does the same.
setTimeout(() => location.reload(), 5000);
