"""`make soak`: the long forms of tests/delivery, run by hand; each prints its figures and a verdict.

    python -m soak                              all forms, one after the other, with what the long run should have
    python -m soak crash --seed 7 --kills 30    one form
    python -m soak memory --minutes 9           a piece: what was begun by then is finished and compared

A form starts its own Elasticsearch and AWS; with ELASTICSEARCH_TEST_URL it uses the server there.
"""
