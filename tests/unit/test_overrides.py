"""Overrides of a sub-cluster: what they change, what they refuse, and what becomes of a patch that does not fit."""

import pytest
from planning import VIRGINIA, placement, planned, request, service, subcluster, where
from pydantic import ValidationError

from federation.errors import InvalidInput
from federation.model.meta import Key
from federation.model.overrides import Overrides, apply_overrides
from federation.planner.decide import Judgement, decide
from federation.planner.explain import explain
from federation.reconcile.workload import build_workload

WEB = Key("shop", "web")
CLAIM = {"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {"storageClassName": "gp3", "x": 1}}
SET = {"kind": "StatefulSet", "metadata": {"name": "web"}, "spec": {"volumeClaimTemplates": [{"spec": {"y": 2}}]}}
INGRESS = {
    "kind": "Ingress",
    "metadata": {"name": "web", "labels": {"a": "b"}, "annotations": {"kubernetes.io/ingress.class": "old", "k": "v"}},
    "spec": {"rules": []},
}
SECRET = {"kind": "Secret", "metadata": {"name": "key"}, "stringData": {"key": "hunter2"}}


def web(*images, objects=(), **more):
    made = service("web", labels={"app": "web"})
    containers = [
        {"name": f"c{index}", "image": image, "command": ["x"]} for index, image in enumerate(images or ["a"])
    ]
    template = {"spec": {"containers": containers, "initContainers": [{"name": "i", "image": "busybox"}], **more}}
    return made.model_copy(update={"spec": made.spec.model_copy(update={"template": template, "objects": objects})})


def applied(one, **overrides):
    checked = Overrides.model_validate(overrides)
    return apply_overrides(one, one.spec.template, one.spec.objects, checked)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nginx", "mirror:5000/hub/library/nginx"),
        ("nginx:1.25", "mirror:5000/hub/library/nginx:1.25"),
        ("team/app@sha256:abc", "mirror:5000/hub/team/app@sha256:abc"),
        ("gcr.io/team/app:2", "mirror:5000/hub/team/app:2"),
        ("localhost/app", "mirror:5000/hub/app"),
        ("registry:5000/app", "mirror:5000/hub/app"),
    ],
)
def test_images_come_from_another_registry(image, expected):
    template, _ = applied(web(image), imageRegistry="mirror:5000/hub")
    assert template["spec"]["containers"][0]["image"] == expected
    assert template["spec"]["initContainers"][0]["image"] == "mirror:5000/hub/library/busybox"


def test_classes_selectors_and_variables():
    volumes = [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"z": 3}}}}, {"name": "w", "emptyDir": {}}]
    one = web(objects=(CLAIM, SET, INGRESS, SECRET), volumes=volumes, nodeSelector={"disk": "hdd", "arch": "arm64"})
    template, objects = applied(
        one, storageClass="fast", ingressClass="nginx", nodeSelector={"disk": "ssd"}, env={"ZONE": "a"}
    )
    assert template["spec"]["nodeSelector"] == {"disk": "ssd", "arch": "arm64"}
    assert template["spec"]["containers"][0]["env"] == [{"name": "ZONE", "value": "a"}]
    assert template["spec"]["volumes"] == [
        {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"z": 3, "storageClassName": "fast"}}}},
        {"name": "w", "emptyDir": {}},
    ]
    claim, stateful, ingress, secret = objects
    assert claim["spec"] == {"storageClassName": "fast", "x": 1}
    assert stateful["spec"]["volumeClaimTemplates"] == [{"spec": {"y": 2, "storageClassName": "fast"}}]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["metadata"]["annotations"] == {"k": "v"}
    assert secret is SECRET
    assert CLAIM["spec"]["storageClassName"] == "gp3"


def test_patches_on_templates_and_objects_by_kind_name_and_labels():
    priority = {"operations": [{"op": "add", "path": "/spec/priorityClassName", "value": "high"}]}
    others = {"target": {"selector": {"matchLabels": {"app": "db"}}}, **priority}
    ingress = {
        "target": {"kind": "Ingress", "name": "web", "selector": {"matchLabels": {"a": "b"}}},
        "operations": [
            {"op": "test", "path": "/metadata/annotations/k", "value": "v"},
            {"op": "copy", "from": "/metadata/name", "path": "/metadata/annotations/example.com~1name"},
            {"op": "move", "from": "/spec/rules", "path": "/spec/old"},
            {"op": "remove", "path": "/metadata/labels"},
            {"op": "replace", "path": "/spec/old", "value": None},
        ],
    }
    one = web(objects=(INGRESS, SECRET))
    template, objects = applied(one, patches=[priority, ingress])
    assert template["spec"]["priorityClassName"] == "high"
    assert objects[0]["metadata"]["annotations"]["example.com/name"] == "web"
    assert objects[0]["spec"] == {"old": None}
    assert "labels" not in objects[0]["metadata"]
    assert objects[1] is SECRET
    assert applied(one, patches=[others])[0] is one.spec.template


@pytest.mark.parametrize(
    ("target", "operation", "message"),
    [
        (
            {},
            {"op": "remove", "path": "/spec/nothing"},
            "remove /spec/nothing finds no such place in the pod template of",
        ),
        ({}, {"op": "replace", "path": "/spec/containers/7/image", "value": "x"}, "finds no such place"),
        ({}, {"op": "move", "from": "/spec/x", "path": "/spec/y"}, "move /spec/y from /spec/x finds no such place"),
        (
            {},
            {"op": "replace", "path": "", "value": 3},
            "leaves nothing of the pod template of shop/web that has fields",
        ),
        (
            {"kind": "Secret"},
            {"op": "test", "path": "/stringData/key", "value": "?"},
            "test /stringData/key finds another value there in Secret key of shop/web",
        ),
        ({"kind": "Secret"}, {"op": "add", "path": "/stringData/a/b", "value": 1}, "finds no such place in Secret key"),
    ],
)
def test_a_patch_that_does_not_fit_says_which_and_gives_nothing_away(target, operation, message):
    with pytest.raises(InvalidInput) as caught:
        applied(web(objects=(SECRET,)), patches=[{"target": target, "operations": [operation]}])
    assert message in str(caught.value)
    assert "spec.overrides.patches[0]" in str(caught.value)
    assert "hunter2" not in str(caught.value)


REFUSED = [
    ({"imageRegistry": "https://mirror"}, "no image registry"),
    ({"imageRegistry": "mirror/"}, "no image registry"),
    ({"storageClass": "Fast!"}, "is not a name"),
    ({"patches": [{"operations": []}]}, "at least 1 item"),
    ({"patches": [{"operations": [{"op": "add", "path": "spec", "value": 1}]}]}, "no JSON pointer"),
    ({"patches": [{"operations": [{"op": "add", "path": "/a~2", "value": 1}]}]}, "no JSON pointer"),
    ({"patches": [{"operations": [{"op": "merge", "path": "/a"}]}]}, "'add'"),
    ({"patches": [{"operations": [{"op": "add", "path": "/a"}]}]}, "needs a `value`"),
    ({"patches": [{"operations": [{"op": "remove", "path": "/a", "value": 1}]}]}, "has no `value`"),
    ({"patches": [{"operations": [{"op": "move", "path": "/a"}]}]}, "needs `from`"),
    ({"patches": [{"operations": [{"op": "test", "path": "/a", "from": "/b", "value": 1}]}]}, "has no `from`"),
    ({"patches": [{"target": {"kind": "ingress"}, "operations": [{"op": "remove", "path": "/a"}]}]}, "pattern"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED)
def test_refused(value, message):
    with pytest.raises(ValidationError) as caught:
        Overrides.model_validate(value)
    assert message in str(caught.value)


def test_every_override_is_part_of_the_revision():
    one = web(objects=(CLAIM, INGRESS))
    every = [
        {},
        {"env": {"A": "b"}},
        {"imageRegistry": "mirror"},
        {"storageClass": "fast"},
        {"ingressClass": "nginx"},
        {"nodeSelector": {"a": "b"}},
        {"patches": [{"operations": [{"op": "add", "path": "/spec/hostname", "value": "h"}]}]},
        {"patches": [{"operations": [{"op": "remove", "path": "/spec/hostname"}]}]},
    ]
    made = [build_workload(one, subcluster("a", "gce", overrides=each), 1, None).revision for each in every]
    assert len(set(made)) == len(every)
    assert build_workload(one, subcluster("b", "ec2", overrides=every[1]), 3, None).revision == made[1]


def test_a_place_whose_patches_do_not_fit_is_denied_and_says_why():
    patches = [{"operations": [{"op": "replace", "path": "/spec/hostname", "value": "h"}]}]
    there = subcluster("place", "gce", "europe-west1", price=(0.001, 0.001), overrides={"patches": patches})
    running = {WEB: placement("web", place=1)}
    asked = request([web()], fleet=[there, VIRGINIA], placements=running)
    judgement = Judgement(asked)
    text = (
        "its patches do not fit the service: spec.overrides.patches[0].operations[0]: replace /spec/hostname finds no "
        "such place in the pod template of shop/web (SubCluster place)"
    )
    assert where(judgement.plan, "web") == {"azure-virginia": 1}
    assert judgement.forbidden(WEB, "place") == text
    assert judgement.violation(WEB, "place").message == text
    told = {each.subcluster: each for each in explain(asked, judgement.plan, WEB).candidates}
    assert (told["place"].verdict, told["place"].reasons) == ("denied", (text,))
    assert planned(decide(request([web(hostname="x")], fleet=[there])), "web").verdict == "placed"
