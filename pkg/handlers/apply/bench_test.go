package apply_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/apply"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// shop is a config of three children and a status, with ten expressions, none of which reads a
// child.
const shop = `
children:
  page:
    template:
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: "${object.metadata.name}-page", labels: {app: "${object.metadata.name}", tier: front}}
      data: {index.html: "${object.spec.html}", motto: "Welcome to ${object.metadata.name}"}
  server:
    template:
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: "${object.metadata.name}"}
      spec:
        replicas: "${object.spec.replicas}"
        selector: {matchLabels: {app: "${object.metadata.name}"}}
        template:
          metadata: {labels: {app: shop, tier: front}}
          spec:
            containers:
            - {name: web, image: "registry.example.com/web:v1", ports: [{containerPort: 8080, name: http}], env: [{name: MODE, value: production}]}
  door:
    template:
      apiVersion: v1
      kind: Service
      metadata: {name: "${object.metadata.name}"}
      spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: http}]}
status:
  aliases: "${object.spec.aliases.filter(a, a.endsWith('.org')).size()}"
`

// reading is the same with a status that reads a child.
var reading = strings.Replace(shop, "status:\n", "status:\n  page: \"${children.page.data['index.html']}\"\n", 1)

// wireObject is an object as the cache has it: what is read of it is decoded each time.
type wireObject struct {
	handlers.Object

	text []byte
}

func (o wireObject) JSON() ([]byte, error) { return slices.Clone(o.text), nil }

func (o wireObject) Into(into any) error { return handlers.DecodeJSON(slices.Clone(o.text), into) }

// wireObjectOf makes an object of fields.
func wireObjectOf(tb testing.TB, fields map[string]any) wireObject {
	tb.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		tb.Fatal(err)
	}
	return wireObject{handlerstest.Object(tb, &unstructured.Unstructured{Object: fields}), text}
}

// shopFields are those of parent i.
func shopFields(i int) map[string]any {
	return map[string]any{
		"apiVersion": "demo.kooperd.dev/v1", "kind": "Website",
		"metadata": map[string]any{"name": fmt.Sprintf("shop-%06d", i), "namespace": "web", "uid": fmt.Sprint("u", i), "labels": map[string]any{"team": "a"}},
		"spec":     map[string]any{"html": fmt.Sprintf("<p>shop %d</p>", i), "replicas": int64(3), "aliases": []any{"a.org", fmt.Sprintf("%d.com", i)}},
	}
}

// shopPage is the child of parent i that a status reads.
func shopPage(tb testing.TB, i int) handlers.Children {
	tb.Helper()
	return handlers.Children{{Name: "page", Object: wireObjectOf(tb, map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": fmt.Sprintf("shop-%06d-page", i), "namespace": "web"},
		"data": map[string]any{"index.html": fmt.Sprintf("<p>shop %d</p>", i)},
	})}}
}

// shopComposer makes a composer of a config in YAML.
func shopComposer(tb testing.TB, config string) handlers.Composer {
	tb.Helper()
	text, err := yaml.YAMLToJSON([]byte(config))
	if err != nil {
		tb.Fatal(err)
	}
	return handlerstest.NewComposer(tb, apply.Plugin, string(text))
}

// BenchmarkCompose is one call for a parent of three children and ten expressions, decoding the
// parent included; "reading" decodes a child as well. Making what is applied of a child, and its
// hash, is in pkg/compose: BenchmarkMake.
func BenchmarkCompose(b *testing.B) {
	for name, config := range map[string]string{"templates": shop, "reading": reading} {
		b.Run(name, func(b *testing.B) {
			composer := shopComposer(b, config)
			req := handlers.ComposeRequest{Object: wireObjectOf(b, shopFields(0)), Children: shopPage(b, 0)}
			b.ReportAllocs()
			for b.Loop() {
				if c, err := composer.Compose(b.Context(), req); err != nil || len(c.Children) != 3 || len(c.Problems) > 0 {
					b.Fatal(err, c.Problems)
				}
			}
		})
	}
}

// BenchmarkDecode is what BenchmarkCompose takes for decoding its parent.
func BenchmarkDecode(b *testing.B) {
	object := wireObjectOf(b, shopFields(0))
	b.ReportAllocs()
	for b.Loop() {
		if err := apply.Decode(object); err != nil {
			b.Fatal(err)
		}
	}
}

// A composer keeps nothing of the parents that it has been asked about: what it could keep of one
// takes more than a few bytes. BenchmarkComposeMemory is the same for more of them, such as with
// -benchtime=100000x.
func TestComposeMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector takes several times as much")
	}
	const parents, each = 10_000, 8
	if grown := composeMany(t, shopComposer(t, reading), parents); grown > parents*each {
		t.Errorf("the heap has grown by %d bytes for %d parents, want at most %d for each", grown, parents, each)
	}
}

// BenchmarkComposeMemory measures by how much the heap grows for each further parent.
func BenchmarkComposeMemory(b *testing.B) {
	grown := composeMany(b, shopComposer(b, reading), b.N)
	b.ReportMetric(float64(grown)/float64(b.N), "heap-B/parent")
}

// composeMany asks a composer about parents and returns by how many bytes the heap has grown. What
// is made once is there before.
func composeMany(tb testing.TB, composer handlers.Composer, parents int) int64 {
	tb.Helper()
	const first = 500
	before := int64(0)
	for i := range first + parents {
		if i == first {
			before = liveHeap()
		}
		req := handlers.ComposeRequest{Object: wireObjectOf(tb, shopFields(i)), Children: shopPage(tb, i)}
		if c, err := composer.Compose(tb.Context(), req); err != nil || len(c.Children) != 3 {
			tb.Fatal(err, c.Pending)
		}
	}
	return liveHeap() - before
}

// liveHeap returns how much is in use. Pools are empty after the second collection.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
