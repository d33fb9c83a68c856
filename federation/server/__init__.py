"""The HTTP API, shaped like Kubernetes'.

`app.make_wsgi` is the application, `serve.ApiServer` runs it. `requests` is what comes in, `routes` what a path means,
`objects` and `apply` read and write, `watching` and `streaming` last, `access` says who may do what, `admission` what
only Roam itself may write, `answers` is what goes out, `auth` the token, `discovery` what there is. Other modules add
paths and subresources through `extras`.
"""
