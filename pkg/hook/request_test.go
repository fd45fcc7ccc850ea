package hook_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// What there is in the tests of requests.
const (
	here    = `{apiVersion: v1, kind: ConfigMap, metadata: {name: page, namespace: team-a}}`
	there   = `{apiVersion: v1, kind: ConfigMap, metadata: {name: page, namespace: team-b}}`
	nowhere = `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: page}}`
	secret  = `{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: team-a}}`
	foreign = `{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: team-b}}`
	node    = `{apiVersion: v1, kind: Node, metadata: {name: n1}}`
)

// The same as hooks get them.
const (
	websiteJSON = `{"apiVersion":"demo.kooperd.dev/v1","kind":"Website","metadata":{"name":"shop","namespace":"team-a","uid":"u-1"}}`
	tenantJSON  = `{"apiVersion":"demo.kooperd.dev/v1","kind":"Tenant","metadata":{"name":"blue","uid":"u-2"}}`
	hereJSON    = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page","namespace":"team-a"}}`
	thereJSON   = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page","namespace":"team-b"}}`
	nowhereJSON = `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"page"}}`
	secretJSON  = `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"key","namespace":"team-a"}}`
	foreignJSON = `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"key","namespace":"team-b"}}`
	nodeJSON    = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}}`
)

// What is seen of all that, by scope and version.
const (
	seenInside = `{"ClusterRole.rbac.authorization.k8s.io/v1":{},` +
		`"ConfigMap.v1":{"page":` + hereJSON + `},"Deployment.apps/v1":{}}`
	seenWhole = `{"ClusterRole.rbac.authorization.k8s.io/v1":{"page":` + nowhereJSON + `},` +
		`"ConfigMap.v1":{"team-a/page":` + hereJSON + `,"team-b/page":` + thereJSON + `},"Deployment.apps/v1":{}}`
	relatedInside = `{"Node.v1":{},"Secret.v1":{"key":` + secretJSON + `}}`
	relatedWhole  = `{"Node.v1":{"n1":` + nodeJSON + `},"Secret.v1":{"team-a/key":` + secretJSON + `,"team-b/key":` + foreignJSON + `}}`
)

// controllerJSON is the controller as hooks get it.
func controllerJSON(shape hook.Shape, version hook.Version) string {
	rule := `{"version":"` + string(version) + `"}`
	children := `[{"apiVersion":"v1","resource":"configmaps","updateStrategy":{"method":"InPlace"}},` +
		`{"apiVersion":"rbac.authorization.k8s.io/v1","resource":"clusterroles","updateStrategy":{"method":"Recreate"}},` +
		`{"apiVersion":"apps/v1","resource":"deployments","updateStrategy":{"method":"OnDelete"}}]`
	hooks := `"hooks":{"customize":` + rule + `,"finalize":` + rule + `,"sync":` + rule + `}`
	head := `{"apiVersion":"metacontroller.k8s.io/v1alpha1","kind":`
	parent := `{"apiVersion":"demo.kooperd.dev/v1","resource":"websites"}`
	if shape == hook.Decorator {
		return head + `"DecoratorController","metadata":{"name":"sites"},"spec":{"resources":[` + parent + `],"attachments":` + children +
			`,` + hooks + `},"status":{}}`
	}
	return head + `"CompositeController","metadata":{"name":"sites"},"spec":{"parentResource":` + parent + `,"childResources":` + children +
		`,` + hooks + `},"status":{}}`
}

func requestConfig(shape hook.Shape, version hook.Version) hook.Config {
	return hook.Config{
		Shape: shape, Version: version,
		Children: []hook.Child{
			{APIVersion: "v1", Kind: "ConfigMap"},
			{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Policies: handlers.Policies{Update: handlers.UpdateRecreate}},
			{APIVersion: "apps/v1", Kind: "Deployment", Policies: handlers.Policies{Update: handlers.UpdateOnDelete}},
		},
		Reads: []hook.Read{{APIVersion: "v1", Kind: "Secret"}, {APIVersion: "v1", Kind: "Node"}},
	}
}

// TestRequests compares the requests of all hooks with what metacontroller's users know, byte by
// byte.
func TestRequests(t *testing.T) {
	for _, shape := range []hook.Shape{hook.Composite, hook.Decorator} {
		for _, version := range []hook.Version{hook.V1, hook.V2} {
			for _, parent := range []string{website, tenant} {
				for _, name := range []hook.Name{hook.Sync, hook.Finalize, hook.Customize} {
					scope := "namespaced"
					if parent == tenant {
						scope = "cluster-scoped"
					}
					t.Run(string(shape)+" "+string(version)+" "+scope+" "+string(name), func(t *testing.T) {
						testRequest(t, shape, version, parent, name)
					})
				}
			}
		}
	}
}

func testRequest(t *testing.T, shape hook.Shape, version hook.Version, parent string, name hook.Name) {
	t.Helper()
	caller := &scripted{answers: map[hook.Name]string{
		hook.Sync: `{}`, hook.Finalize: `{}`,
		hook.Customize: `{"relatedResources":[{"apiVersion":"v1","resource":"secrets"},{"apiVersion":"v1","resource":"nodes"}]}`,
	}}
	composer := newComposer(t, requestConfig(shape, version), hook.Hooks{Finalize: true, Customize: true}, caller)
	relater, ok := composer.(handlers.Relater)
	if !ok {
		t.Fatal("it is no Relater")
	}
	asked, err := relater.Relate(t.Context(), object(t, parent))
	if err != nil {
		t.Fatal(err)
	}
	controller := controllerJSON(shape, version)
	parentJSON, children, related := websiteJSON, seenInside, relatedInside
	if parent == tenant {
		parentJSON = tenantJSON
	}
	if parent == tenant || version == hook.V2 {
		children, related = seenWhole, relatedWhole
	}
	want := `{"controller":` + controller + `,"parent":` + parentJSON + `}`
	if name != hook.Customize {
		finalizing := name == hook.Finalize
		_, err := composer.Compose(t.Context(), handlers.ComposeRequest{
			Object: object(t, parent), Children: observed(t, here, there, nowhere, secret), Finalizing: finalizing, Attempt: 3,
			Related: map[string][]handlers.Object{asked[0].Name: objects(t, secret, foreign), asked[1].Name: objects(t, node)},
		})
		if err != nil {
			t.Fatal(err)
		}
		flag := map[bool]string{true: "true", false: "false"}[finalizing]
		parentField, childField := `"parent"`, `"children"`
		if shape == hook.Decorator {
			parentField, childField = `"object"`, `"attachments"`
		}
		want = `{"controller":` + controller + `,` + parentField + `:` + parentJSON + `,` + childField + `:` + children +
			`,"related":` + related + `,"finalizing":` + flag + `}`
	}
	call := caller.last(t)
	if call.Hook != name {
		t.Errorf("the %s hook is called, want %s", call.Hook, name)
	}
	if diff := cmp.Diff(indented(t, want), indented(t, string(call.Body))); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if string(call.Body) != want {
		t.Errorf("the request is\n%s, want\n%s", call.Body, want)
	}
}

func indented(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", " "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRequestWithoutCustomizeHasAllReads(t *testing.T) {
	caller := &scripted{answers: map[hook.Name]string{hook.Sync: `{}`}}
	c := hook.Config{Reads: []hook.Read{{APIVersion: "v1", Kind: "Secret"}, {APIVersion: "v1", Kind: "Secret", Namespace: "shared"}}}
	composer := newComposer(t, c, hook.Hooks{}, caller)
	if _, ok := composer.(handlers.Relater); ok {
		t.Error("it is a Relater without a customize hook")
	}
	reads := hook.Reads(c)
	_, err := composer.Compose(t.Context(), handlers.ComposeRequest{Object: object(t, website), Related: map[string][]handlers.Object{
		reads[0].Name: objects(t, secret), reads[1].Name: objects(t, foreign, secret),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var request struct{ Related map[string]map[string]any }
	if err := json.Unmarshal(caller.last(t).Body, &request); err != nil {
		t.Fatal(err)
	}
	if len(request.Related) != 1 || len(request.Related["Secret.v1"]) != 2 {
		t.Errorf("related objects are %v, want the two Secrets once each", request.Related)
	}
}

// TestRequestIsAFunction composes the same twice: the same request comes of it, and nothing that it
// was made of is damaged.
func TestRequestIsAFunction(t *testing.T) {
	answer := `{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page"},"data":{"a":"b"},"status":{}}],"status":{"n":1}}`
	caller := &scripted{answers: map[hook.Name]string{hook.Sync: answer}}
	composer := newComposer(t, configMaps(), hook.Hooks{}, caller)
	req := handlers.ComposeRequest{Object: object(t, website), Children: observed(t, here), Cause: handlers.CauseResync, Attempt: 2}
	before, err := req.Object.JSON()
	if err != nil {
		t.Fatal(err)
	}
	first, err := composer.Compose(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	second, err := composer.Compose(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the answers differ (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(string(caller.calls[0].Body), string(caller.calls[1].Body)); diff != "" {
		t.Errorf("the requests differ (-first +second):\n%s", diff)
	}
	if call := caller.last(t); call.Cause != handlers.CauseResync || call.Attempt != 2 || call.Parent.Name() != "shop" {
		t.Errorf("the call is %+v", call)
	}
	after, err := req.Object.JSON()
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the parent is %s, want %s (%v)", after, before, err)
	}
}

func TestErrorsOfACallerNameTheHook(t *testing.T) {
	caller := &scripted{err: handlers.Terminal(errTest)}
	composer := newComposer(t, configMapsAndSecrets(), hook.Hooks{Finalize: true, Customize: true}, caller)
	parent := object(t, website)
	_, err := composer.Compose(t.Context(), handlers.ComposeRequest{Object: parent})
	wantError(t, err, "sync hook: as the test wants")
	if !handlers.IsTerminal(err) {
		t.Error("the error is not terminal any more")
	}
	_, err = composer.Compose(t.Context(), handlers.ComposeRequest{Object: parent, Finalizing: true})
	wantError(t, err, "finalize hook: as the test wants")
	_, err = composer.(handlers.Relater).Relate(t.Context(), parent)
	wantError(t, err, "customize hook: as the test wants")
}

func configMapsAndSecrets() hook.Config {
	c := configMaps()
	c.Reads = []hook.Read{{APIVersion: "v1", Kind: "Secret"}}
	return c
}
