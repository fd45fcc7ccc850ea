package kinds_test

import (
	"errors"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/kinds"
)

func TestDiscoveryOfAll(t *testing.T) {
	found, failed, err := serve(t).All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range found {
		names = append(names, r.Version+" "+r.GroupResource().String())
	}
	want := "v1 reports, v1 widgets.example.com, v1 fleets.example.com, v1 reviews.example.com, v1 reports.example.com"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("all are %s, want %s", got, want)
	}
	if err := errors.Join(failed...); len(failed) != 2 || !strings.Contains(err.Error(), "broken.com/v1") || !strings.Contains(err.Error(), "example.com/v2") {
		t.Errorf("out of service are %v", err)
	}
	list := kinds.NewList(found)
	if r, err := list.Kind(t.Context(), widgetKind); err != nil || r.Name != "widgets" {
		t.Errorf("the resource of widgets is %+v, %v", r, err)
	}
	if r, err := list.Kind(t.Context(), podKind); !kinds.IsNotServed(err) {
		t.Errorf("the resource of pods is %+v, %v", r, err)
	}
}

func TestNamed(t *testing.T) {
	all := []kinds.Resource{
		{Name: "pods", Singular: "pod", Kind: "Pod", ShortNames: []string{"po"}},
		{Group: "example.com", Name: "widgets", Singular: "widget", Kind: "Widget", ShortNames: []string{"w", "pod"}},
		{Group: "example.org", Name: "widgets", Singular: "widget", Kind: "Widget"},
		{Group: "example.org", Name: "pos", Singular: "po", Kind: "Po"},
	}
	for text, want := range map[string]string{
		"pod": "pods", "PODS": "pods", "Pod": "pods", "po": "pos.example.org", "Widget": "widgets.example.com", "w": "widgets.example.com",
		"widget.example.org": "widgets.example.org", "W.example.com": "widgets.example.com",
	} {
		if r, err := kinds.Named(all, text); err != nil || r.GroupResource().String() != want {
			t.Errorf("%s is %s, %v, want %s", text, r.GroupResource(), err, want)
		}
	}
	for text, want := range map[string]string{
		"gadget":          `the API server serves no such kind: "gadget"`,
		"pods.example.io": `the API server serves no such kind: "pods.example.io"; did you mean "pods"?`,
		"w.example.io":    `the API server serves no such kind: "w.example.io"; did you mean "widgets.example.com"?`,
		"":                `the API server serves no such kind: ""`,
	} {
		if r, err := kinds.Named(all, text); !errors.Is(err, kinds.ErrNoResource) || err.Error() != want {
			t.Errorf("%q is %s, %v, want %s", text, r.GroupResource(), err, want)
		}
	}
}
