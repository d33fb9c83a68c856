"""The page at `/`: a dashboard of static files, and what it asks the API for beside the objects themselves.

`files` serves the page, `feed` tells of changes of several kinds in one stream, `fleet` sums up what each sub-cluster
holds, `candidates` explains one service's places, `shared` bounds what the last two may cost, `extras` puts all of it
into the API. The page itself is in `static`: plain modules, no build step."""
