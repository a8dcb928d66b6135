"""gunicorn: two processes of eight threads, on loopback; a buffering proxy stands in front.

gunicorn alone stops answering under a hundred slow connections; behind nginx it does not.
"""

import os

bind = os.environ.get("BIND", f"127.0.0.1:{os.environ.get('PORT', '5000')}")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = 8
preload_app = True
graceful_timeout = 30
control_socket_disable = True
