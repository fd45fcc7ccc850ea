package page

import (
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/statusz"
)

// TestWritesAreLinks: what was written leads to its page, if there is one and it is another one.
func TestWritesAreLinks(t *testing.T) {
	text := get(t, everything(), "/objects/Website/shop/checkout").text
	for _, want := range []string{
		`<a href="../../../objects/Deployment/shop/checkout" class="object">deployments/shop/checkout</a>`,
		`<a href="../../../objects/ConfigMap/shop/checkout-page" class="object">configmaps/shop/checkout-page</a>`,
		`<span class="object">websites/shop/checkout</span>`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s:\n%s", want, text)
		}
	}
}

func TestPathOf(t *testing.T) {
	p := newObjectPage(&statusz.ObjectReport{Object: statusz.ObjectRef{APIVersion: "v1", Kind: "Namespace", Name: "shop"}})
	for _, tc := range []struct {
		write statusz.Write
		want  string
	}{
		{statusz.Write{Object: "secrets/shop/key", Kind: "Secret"}, "objects/Secret/shop/key"},
		{statusz.Write{Object: "clusterroles/system:node", Kind: "ClusterRole"}, "objects/ClusterRole/system:node"},
		{statusz.Write{Object: "secrets/shop/key"}, ""},
		{statusz.Write{Object: "secrets", Kind: "Secret"}, ""},
		{statusz.Write{Object: "namespaces/shop", Kind: "Namespace"}, ""}, // the page itself
	} {
		if got := p.PathOf(tc.write); got != tc.want {
			t.Errorf("%+v is at %q, want %q", tc.write, got, tc.want)
		}
	}
}
