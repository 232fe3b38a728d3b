"""Everything that a module must not do when it is imported, for the test that looks for it."""

import logging
import socket
import threading

from elasticsearch import Elasticsearch

logging.basicConfig()
client = Elasticsearch("http://127.0.0.1:9")
thread = threading.Thread(target=threading.Event().wait, daemon=True)
thread.start()
socket.socket().close()
