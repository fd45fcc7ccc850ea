package expression_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
)

var (
	podKind        = corev1.SchemeGroupVersion.WithKind("Pod")
	widgetKind     = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
	deploymentKind = appsv1.SchemeGroupVersion.WithKind("Deployment")
	serviceKind    = corev1.SchemeGroupVersion.WithKind("Service")
	nodeKind       = corev1.SchemeGroupVersion.WithKind("Node")
	configMapKind  = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	secretKind     = corev1.SchemeGroupVersion.WithKind("Secret")
	budgetKind     = policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
)

// mistakesOf returns what is wrong with an expression on objects of a kind, with the places.
func mistakesOf(t *testing.T, l *expression.Language, text string, kind schema.GroupVersionKind) []string {
	t.Helper()
	_, err := l.Condition(text, kind)
	if err == nil {
		return nil
	}
	var ms expression.Mistakes
	if !errors.As(err, &ms) {
		t.Fatal(err)
	}
	var all []string
	for _, m := range ms {
		line := fmt.Sprintf("%d %s", m.Offset, m.Message)
		if m.Hint != "" {
			line += "; " + m.Hint
		}
		all = append(all, line)
	}
	return all
}

type typeTest struct {
	kind schema.GroupVersionKind
	text string
	want []string
}

func checkTypes(t *testing.T, tests []typeTest) {
	t.Helper()
	l := language(t)
	for _, tc := range tests {
		t.Run(tc.kind.Kind+" "+tc.text, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, mistakesOf(t, l, tc.text, tc.kind)); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

func TestFieldsThatAreNotThere(t *testing.T) {
	checkTypes(t, []typeTest{
		{podKind, "object.spec.nodeName == oldObject.spec.nodeNam", []string{"39 Pod: there is no field spec.nodeNam"}},
		{podKind, "object.speck.nodeName == 'a' || object.spec.x.y == 1", []string{"7 Pod: there is no field speck", "44 Pod: there is no field spec.x"}},
		{podKind, "has(object.metadata.lables)", []string{"20 Pod: there is no field metadata.lables"}},
		{podKind, "object.?spec.?nodeNam.orValue('') == ''", []string{"14 Pod: there is no field spec.nodeNam"}},
		{podKind, "object['spec']['nodeNam'] == 'ü'", []string{"16 Pod: there is no field spec.nodeNam"}},
		{podKind, "has( object . spec [ 'me' ] . spec )", []string{"22 Pod: there is no field spec.me"}},
		{podKind, "object.spec.containers[0].imag == 'x'", []string{"26 Pod: there is no field object.spec.containers[0].imag"}},
		{podKind, "object.spec.containers.exists(c, c.imag == 'x')", []string{"35 Pod: there is no field c.imag"}},
		{podKind, "[object, oldObject].all(o, o == null || o.anything == 1)", []string{"42 Pod: there is no field o.anything"}},
		{podKind, "object.spec.containers.image == 'x'", []string{`23 Pod: spec.containers is a list and has no field image; ask its entries, as in object.spec.containers.exists(x, x.image == "a")`}},
		{podKind, "object.spec.containers['a'].image == 'x'", []string{"24 Pod: spec.containers is a list and has no field a; its entries are numbered from 0"}},
		{podKind, "object.metadata.name.foo == 'x'", []string{"21 Pod: metadata.name is a string and has no field foo"}},
		{podKind, "object.metadata.creationTimestamp.year == 2026", []string{"34 Pod: metadata.creationTimestamp is a point in time, which is a string, and has no field year; write it as in timestamp(object.metadata.creationTimestamp).getFullYear()"}},
		{budgetKind, "object.spec.maxUnavailable.value == 1", []string{"27 PodDisruptionBudget: spec.maxUnavailable is a number or a string and has no field value"}},
		{secretKind, "object.stringData.x == '' || object.data.x.y == ''", []string{"7 Secret: stringData can only be written: nothing is ever there; the values are in data, in base64", `43 Secret: data.x is a string and has no field y; a key with dots in it stands in brackets, as in object.data["x.y"]`}},
		{secretKind, "object.stringData.x == ''", []string{"7 Secret: stringData can only be written: nothing is ever there; the values are in data, in base64"}},
		{widgetKind, "object.anything.there && object.metadata.lables", []string{"41 Widget: there is no field metadata.lables"}},
		{widgetKind, "has(object.metadata.managedFields)", []string{"20 Widget: metadata.managedFields is dropped when an object arrives: nothing is ever there; leave it out"}},
	})
}

func TestTypesThatDoNotFit(t *testing.T) {
	checkTypes(t, []typeTest{
		{podKind, `object.metadata.labels["t"] == 1`, []string{`28 Pod: metadata.labels.t is a string and 1 is a number: they are never equal; write "1" in quotes`}},
		{widgetKind, `object.metadata.labels["t"] == 1`, []string{`28 Widget: metadata.labels.t is a string and 1 is a number: they are never equal; write "1" in quotes`}},
		{podKind, `object.metadata.labels == "app=web"`, []string{`23 Pod: metadata.labels is a map and "app=web" is a string: they are never equal; ask for one of its keys, as in object.metadata.labels["a"] == "b"`}},
		{deploymentKind, `object.spec.replicas > "3"`, []string{`21 Deployment: spec.replicas is a number and "3" is a string: > cannot compare them; write 3 without quotes`}},
		{deploymentKind, `"3" != object.spec.replicas`, []string{`4 Deployment: "3" is a string and spec.replicas is a number: they are never equal; write 3 without quotes`}},
		{deploymentKind, `object.metadata.resourceVersion > 5`, []string{"32 Deployment: metadata.resourceVersion is a string and 5 is a number: > cannot compare them; write int(object.metadata.resourceVersion)"}},
		{deploymentKind, `size(object.spec.replicas) > 1`, []string{"17 Deployment: size() does not take spec.replicas, a number"}},
		{deploymentKind, `object.spec.replicas.size() > 1`, []string{"12 Deployment: spec.replicas is a number and has no function size"}},
		{deploymentKind, `object.spec.replicas.startsWith("1")`, []string{"12 Deployment: spec.replicas is a number and has no function startsWith"}},
		{deploymentKind, `object.metadata.name.startsWith(1)`, []string{"16 Deployment: startsWith() does not take 1, a number"}},
		{deploymentKind, `object.metadata.finalizers.contains("x")`, []string{"16 Deployment: metadata.finalizers is a list and has no function contains"}},
		{deploymentKind, `object.spec.replicas in ["1"]`, []string{`21 Deployment: spec.replicas is a number and an entry of ["1"] is a string: they are never equal`}},
		{deploymentKind, `object.metadata.name in "abc"`, []string{`21 Deployment: "abc" is a string: in wants a list or a map; write "abc".contains(object.metadata.name)`}},
		{deploymentKind, `1 in object.metadata.labels`, []string{"2 Deployment: 1 is a number and the keys of metadata.labels are strings"}},
		{deploymentKind, `object.metadata.name + 1 == "a"`, []string{"21 Deployment: metadata.name is a string and 1 is a number: + does not take them; write string(1)"}},
		{deploymentKind, `-object.metadata.name == 1`, []string{"0 Deployment: metadata.name is a string: - does not take it"}},
		{deploymentKind, `(has(object.spec) ? object.spec.replicas : "a") == 1`, []string{`18 Deployment: spec.replicas is a number and "a" is a string: both sides of : must be of one type`}},
		{deploymentKind, `object.spec.replicas == 1.5`, []string{"21 Deployment: spec.replicas is a number and 1.5 is a number with a fraction: they are never equal"}},
		{deploymentKind, `object.spec == 1`, []string{"12 Deployment: spec is an object and 1 is a number: they are never equal"}},
		{deploymentKind, `object.metadata.labels[0] == "x"`, []string{"22 Deployment: metadata.labels is a map and 0 is a number: its keys are strings"}},
		{deploymentKind, `object.spec.paused == "true"`, []string{`19 Deployment: spec.paused is true or false and "true" is a string: they are never equal; write true without quotes`}},
		{deploymentKind, `object.spec.replicas.all(x, x)`, []string{"11 Deployment: spec.replicas is a number and has no entries"}},
		{deploymentKind, `duration(object.spec.replicas) > duration("1s")`, []string{"21 Deployment: duration() does not take spec.replicas, a number"}},
		{deploymentKind, `object.spec.replicas > null`, []string{"21 Deployment: spec.replicas is a number and null is of type null: > cannot compare them"}},
		{deploymentKind, `object.spec.strategy.rollingUpdate.maxSurge == true`, []string{"44 Deployment: spec.strategy.rollingUpdate.maxSurge is a number or a string and true is true or false: they are never equal"}},
		{podKind, `object.spec.containers.exists(c, c.image == 1)`, []string{`41 Pod: c.image is a string and 1 is a number: they are never equal; write "1" in quotes`}},
		{podKind, `object.spec.containers.map(c, c.name).exists(n, n == 1)`, []string{`50 n is a string and 1 is a number: they are never equal; write "1" in quotes`}},
		{podKind, `object.spec.containers.filter(c, c.name == "a")[0].image == 1`, []string{`57 Pod: object.spec.containers.filter(c, c.name == "a")[0].image is a string and 1 is a number: they are never equal; write "1" in quotes`}},
		{podKind, `object.spec.containers[0].resources.requests.cpu > 5`, []string{"49 Pod: object.spec.containers[0].resources.requests.cpu is a quantity, which is a string, and 5 is a number: > cannot compare them; parse it, as in quantity(object.spec.containers[0].resources.requests.cpu).isGreaterThan(quantity(\"5\"))"}},
		{podKind, `object.spec.containers == "x"`, []string{`23 Pod: spec.containers is a list and "x" is a string: they are never equal; ask its entries, as in object.spec.containers.exists(x, x == "x")`}},
		{podKind, `object.metadata.creationTimestamp < timestamp("2026-01-01T00:00:00Z")`, []string{`34 Pod: metadata.creationTimestamp is a point in time, which is a string, and timestamp("2026-01-01T00:00:00Z") is a timestamp: < cannot compare them; write timestamp(object.metadata.creationTimestamp)`}},
		{podKind, "object.metadata.creationTimestamp.getFullYear() == 2026", []string{"16 Pod: metadata.creationTimestamp is a point in time, which is a string, and has no function getFullYear; write it as in timestamp(object.metadata.creationTimestamp).getFullYear()"}},
		{podKind, "object.?spec.?priority.orValue('x') == 'x'", []string{`14 Pod: orValue() does not take "x", a string`}},
		{podKind, "object.spec.containers", []string{"12 Pod: want true or false, but spec.containers is a list; write has(object.spec.containers) to ask whether it is there"}},
		{podKind, "object.spec.nodeName", []string{"12 Pod: want true or false, but spec.nodeName is a string; compare it"}},
		{podKind, "!object.spec.priority || object.spec.hostNetwork && has(object.spec.nodeName)", []string{"13 Pod: want true or false, but spec.priority is a number; compare it"}},
		{podKind, "object.metadata.labels.app ? true : false", []string{"23 Pod: want true or false, but metadata.labels.app is a string; compare it"}},
		{podKind, "object", []string{`0 Pod: want true or false, have the whole object; write it as in "object.spec.replicas > 1"`}},
	})
}

// An expression with several mistakes is refused for each of them, also when CEL finds them in
// different ways.
func TestAllMistakes(t *testing.T) {
	checkTypes(t, []typeTest{
		{deploymentKind, `foo == 1 && object.spec.replicas == "1" && object.spec.nope && object.metadata.name.matches("[")`, []string{
			"0 there is no variable or function foo; there are the variables object and oldObject, and the functions of CEL",
			`33 Deployment: spec.replicas is a number and "1" is a string: they are never equal; write 1 without quotes`,
			"55 Deployment: there is no field spec.nope",
			`92 "[" is not a regular expression`,
		}},
		{deploymentKind, `object.metadata.name.matches("[") && object.spec.replicas == "1"`, []string{
			`29 "[" is not a regular expression`,
			`58 Deployment: spec.replicas is a number and "1" is a string: they are never equal; write 1 without quotes`,
		}},
		{deploymentKind, "object.a = 1 && object.b == 2 || object.d = 2", []string{
			"9 not a CEL expression: unexpected '= '; compare with ==",
			"42 not a CEL expression: unexpected '= '; compare with ==",
		}},
	})
}

// Names that cannot follow a dot are the commonest mistake of all.
func TestNamesInBrackets(t *testing.T) {
	const hint = "; a name with such characters in it stands in brackets: "
	const escape = " is the escape of a name, which only the rules in CRDs need: no field is called so; write "
	checkTypes(t, []typeTest{
		{podKind, `object.metadata.labels.app.kubernetes.io/name == "x"`, []string{"27 Pod: metadata.labels.app is a string and has no field kubernetes" + hint + `object.metadata.labels["app.kubernetes.io/name"]`}},
		{widgetKind, `object.metadata.annotations.example.com/my-key == "x"`, []string{"36 Widget: metadata.annotations.example is a string and has no field com" + hint + `object.metadata.annotations["example.com/my-key"]`}},
		{podKind, `labels.app.kubernetes.io/name == "x"`, []string{"0 there is no variable or function labels" + hint + `object.metadata.labels["app.kubernetes.io/name"]`}},
		{podKind, `metadata.annotations.my-field == "x" && foo`, []string{
			"0 there is no variable or function metadata" + hint + `object.metadata.annotations["my-field"]`,
			"40 there is no variable or function foo; there are the variables object and oldObject, and the functions of CEL",
		}},
		{podKind, `object.metadata.labels.my-field == "x"`, []string{"26 there is no variable or function field" + hint + `object.metadata.labels["my-field"]`}},
		{widgetKind, `object.spec.my-field == "x"`, []string{"15 there is no variable or function field" + hint + `object.spec["my-field"]`}},
		{widgetKind, `object.spec.my-field.b.c == 1 && oldObject.spec.of-a.b-c == 1`, []string{"15 there is no variable or function field" + hint + `object.spec["my-field"].b.c`, "51 there is no variable or function a" + hint + `oldObject.spec["of-a"].b-c`}},
		{widgetKind, `object.spec.in == 1`, []string{`12 not a CEL expression: unexpected '.in'; a field of this name stands in brackets: object.spec["in"]`}},
		{widgetKind, `has(object.spec.true)`, []string{`16 not a CEL expression: unexpected 'true'; a field of this name stands in brackets: object.spec["true"]`}},
		{widgetKind, `object.spec.__namespace__ == "x" || has(object.spec.a__dot__b)`, []string{"12 __namespace__" + escape + "object.spec.namespace", "52 a__dot__b" + escape + `object.spec["a.b"]`}},
		{widgetKind, `object.?spec.?__in__.orValue(1) == 1`, []string{"14 __in__" + escape + `object.?spec["in"]`}},
		{podKind, `object.metadata.__namespace__ == "x"`, []string{"16 __namespace__" + escape + "object.metadata.namespace"}},
		{widgetKind, `object.spec["__namespace__"] == "x" && object.spec["my-field"].x - object.spec.replicas-1 == 2`, nil},
	})
}

// Expressions that can come to something are not refused.
func TestTypesThatFit(t *testing.T) {
	var tests []typeTest
	for kind, texts := range map[schema.GroupVersionKind][]string{
		podKind: {
			`object.metadata.labels.anything == 'x' && object.kind == 'Pod' && object.apiVersion == "v1"`,
			`object.spec.containers.exists(object, object.image == 'x')`,
			`object.spec.overhead.cpu == '1' && object.spec.nodeSelector['a.b'] == 'c'`,
			`object.spec.hostNetwork`,
			`object.?spec.?hostNetwork == optional.none()`,
			`object.metadata.annotations.?foo.orValue("") == "" && "x" in object.metadata.labels`,
			`[object, oldObject].all(o, o == null || o.spec.priority == 1)`,
			`object.metadata.labels.exists(k, k.startsWith("a")) && object.status.startTime.startsWith("2026")`,
			`timestamp(object.?metadata.?creationTimestamp.orValue("2020-01-01T00:00:00Z")).getDayOfWeek() == 1`,
			`object.status.phase in ["Running", "Pending"] && !(object.status.phase in ["Failed"])`,
			`object.status.containerStatuses.all(c, c.ready && c.restartCount < 5 && c.restartCount > 0.5)`,
			`object.status.containerStatuses.map(c, c.restartCount).exists(n, n > 3)`,
			`object.status.conditions.exists(c, c.type == "Ready" && c.status == "True")`,
			`object.spec.containers.map(c, c.image).exists(i, i.endsWith(":latest"))`,
			`object.spec.containers[0].ports[0].containerPort == 80 && object.spec.containers[0].image.contains("/")`,
			`object.spec.containers[0].livenessProbe.httpGet.port == "http" || object.spec.containers[0].livenessProbe.httpGet.port == 8080`,
			`[80, "http"].exists(p, p == object.spec.containers[0].livenessProbe.httpGet.port)`,
			`object.spec.containers[0].livenessProbe.httpGet.port in [80, "http"]`,
			`type(object.spec.containers[0].livenessProbe.httpGet.port) == int`,
			`object.spec.containers.size() + size(object.spec.initContainers) > 1`,
			`(object.spec.containers + object.spec.initContainers).exists(c, c.name == "a")`,
			`object.spec == oldObject.spec || object != oldObject`,
			`object.spec.securityContext == {} || object.?spec.?securityContext.orValue({}).?runAsUser.orValue(0) == 0`,
			`object.spec.tolerations == [{"key": "a", "operator": "Exists"}]`,
			`object.spec.tolerations.exists(t, t == {"key": "a"})`,
			`(has(object.spec.affinity) ? object.spec.affinity : {}) == {}`,
			`"spec" in object && object.exists(k, k == "spec") && size(object.spec) > 1 && object.size() > 3`,
			`object[object.metadata.name] == 1 || object.spec[?"nodeName"].hasValue()`,
			`object.metadata.deletionTimestamp == null || object.spec.priority == null || null != object.metadata.labels`,
			`object.?spec.?priority.orValue(null) == null`,
			`object.metadata.generation > 1 && object.metadata.generation != oldObject.metadata.generation`,
			`int(object.metadata.resourceVersion) > 5 && string(object.metadata.generation) == "1"`,
			`object.metadata.ownerReferences.exists_one(o, has(o.controller) && o.controller)`,
			`object.spec.volumes.exists(v, has(v.emptyDir) && v.name == "x") && object.spec.volumes[0].configMap.name == "a"`,
			`object.spec.containers.filter(c, c.name == "a").all(c, c.resources.limits.memory == "1Gi")`,
			`{"a": object.spec.nodeName}.a == "b" && [object.spec.nodeName, "x"][1] == "x"`,
			`duration(object.metadata.annotations["every"]) > duration("1h")`,
			`timestamp(object.metadata.creationTimestamp) + duration("1h") < timestamp("2026-01-01T00:00:00Z")`,
			`object.metadata.name.matches("^a[0-9]+$") && object.metadata.name.split("-").size() > 2`,
			`"%s/%s".format([object.metadata.namespace, object.metadata.name]) == "a/b"`,
			`dyn(object.spec.priority) == "a"`,
			`object.spec.activeDeadlineSeconds * 2 + 1 > 60 && -object.spec.priority < 0 && object.spec.priority % 2 == 0`,
			`oldObject == null || object.spec.nodeName != oldObject.spec.nodeName`,
		},
		deploymentKind: {
			`object.spec.strategy.rollingUpdate.maxSurge == "25%" || object.spec.paused`,
			`object.spec.strategy.rollingUpdate.maxSurge > 1 || object.spec.strategy.rollingUpdate.maxSurge.endsWith("%")`,
			`has(object.spec.paused) ? object.spec.paused : object.spec.replicas > 1`,
			`object.spec.selector.matchLabels == {"app": "web"} && object.spec.selector == {"matchLabels": {"app": "web"}}`,
			`object.spec.template.metadata.labels.app == object.metadata.labels.app`,
			`object.?spec.?template.orValue({}).?spec.hasValue()`,
			`object.status.?availableReplicas.orValue(0) < object.spec.replicas`,
			`object.spec.replicas == oldObject.spec.replicas + 1`,
			`object.spec.replicas in [1, 2, 3]`,
		},
		serviceKind: {
			`object.spec.ports[0].targetPort == 80 && object.spec.ports.all(p, has(p.name))`,
			`object.spec.ports.exists(p, p.port == 80 && p.targetPort == "http") && object.spec.type == "ClusterIP"`,
			`object.spec.selector.app == "web" && object.spec.clusterIPs[0].startsWith("10.")`,
		},
		nodeKind: {
			`object.status.capacity.cpu != oldObject.status.capacity.cpu && object.status.allocatable["a-b"] == "1"`,
			`object.spec.taints.exists(t, t.key == "node.kubernetes.io/unreachable") || object.spec.unschedulable`,
			`object.metadata.labels["node-role.kubernetes.io/control-plane"] == ""`,
			`object.status.addresses.filter(a, a.type == "InternalIP")[0].address.startsWith("10.")`,
		},
		configMapKind: {
			`object.data["a.b"].contains("x") && object.binaryData.x == "a" && has(object.immutable) && object.immutable`,
			`object.data == oldObject.data || object.data.all(k, object.data[k] != "") && size(object.data) > 1`,
			`object.data.?replicas.optMap(n, int(n) > 3).orValue(false)`,
		},
		secretKind: {
			`object.data.password != oldObject.data.password && object.type == "Opaque"`,
			`"tls.crt" in object.data && object.data["tls.crt"].size() > 0`,
		},
		budgetKind: {`object.spec.maxUnavailable == 1 || object.spec.maxUnavailable == "50%" || object.spec.minAvailable > 1`},
		appsv1.SchemeGroupVersion.WithKind("ControllerRevision"):    {`object.data.spec.template.x == 1 && has(object.data.metadata) && object.revision > 1`},
		corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"): {`object.spec.resources.requests.storage != oldObject.spec.resources.requests.storage`},
		rbacv1.SchemeGroupVersion.WithKind("ClusterRole"):           {`object.rules == null || object.rules.exists(r, "*" in r.verbs)`},
		widgetKind: {
			`object.spec.size > 1 && object.spec.size == "a" && object.spec.list[0].x.y && object.spec["my-field"] == 1.5`,
			`object.spec.namespace == "a" && object.spec.package == 1 && object.spec.var`,
			`object.metadata.labels["a"] == object.spec.a && object.metadata.generation == object.spec.b`,
			`object.anything && (object.spec.x + 1 > 2 || object.spec.x + "a" == "b")`,
			`object.metadata.labels.filter(l, l == object.spec.x).size() == object.spec.y`,
		},
		{}: {`object.metadata.labels == 1 && object.a.b.c == "x"`},
	} {
		for _, text := range texts {
			tests = append(tests, typeTest{kind: kind, text: text})
		}
	}
	checkTypes(t, tests)
}
