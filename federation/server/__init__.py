"""The HTTP API, shaped like Kubernetes'.

`app.make_wsgi` is the application, `serve.ApiServer` runs it on `connections` (with `tls`). `requests` is what comes
in, `routes` what a path means; `guard` knows who asks (`auth`, `tokens`), how often (`rates`) and writes it down
(`audit`); `access` says who may do what, `admission` what only Roam itself may write. `verbs` leads to `objects`,
`apply` and `watching`; `streaming` is what lasts, `answers` what goes out, `pages` the rest. Other modules add paths
and subresources through `extras`.
"""
