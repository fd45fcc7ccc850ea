package compose_test

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/compose"
)

// Plan needs no cluster: what is desired and what is observed are its input.
func ExamplePlan() {
	configMaps := schema.GroupKind{Kind: "ConfigMap"}
	page := &compose.Desired{ID: compose.ChildID{Kind: configMaps, Namespace: "shop", Name: "page"}, Name: "page"}
	stranger := &compose.Desired{ID: compose.ChildID{Kind: configMaps, Namespace: "shop", Name: "settings"}, Name: "settings"}
	for _, op := range compose.Plan(compose.Input{
		Installation: compose.Installation("kooper-system", "kooperd"), Definition: "pages",
		Parent:   compose.Parent{Kind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, Namespace: "shop", Name: "cart", UID: "1"},
		Desired:  []*compose.Desired{page, stranger},
		Observed: []*compose.Observed{{ID: stranger.ID, UID: "2"}},
	}) {
		fmt.Printf("%s %s: %s\n", op.Action, op.ID, op.Reason)
	}
	// Output:
	// create ConfigMap shop/page: Absent
	// refuse ConfigMap shop/settings: Foreign
}

// An installation is known by its lease, and a definition by its id.
func ExampleFinalizerOf() {
	fmt.Println(compose.FinalizerOf(compose.Installation("kooper-system", "kooperd"), "pages"))
	// Output: ie8c9b06c7f28b177.kooperd.dev/pages
}
