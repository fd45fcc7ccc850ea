package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/test/bench/order"
)

// Both programs are given the same, each in its own words.
func TestTemplates(t *testing.T) {
	tests := map[string]struct {
		order      order.Order
		apply, kro []template
		status     [2]string
	}{
		"parts": {
			order.Order{Graph: order.Parts, Extra: "more"},
			[]template{
				{"head", map[string]any{"text": "head of ${object.spec.text}", "extra": "more"}},
				{"body", map[string]any{"text": "body of ${object.spec.text}", "extra": "more"}},
				{"foot", map[string]any{"text": "foot of ${object.spec.text}", "extra": "more"}},
			},
			[]template{
				{"head", map[string]any{"text": "head of ${schema.spec.text}", "extra": "more"}},
				{"body", map[string]any{"text": "body of ${schema.spec.text}", "extra": "more"}},
				{"foot", map[string]any{"text": "foot of ${schema.spec.text}", "extra": "more"}},
			},
			[2]string{"${children.head.data.text}", "${head.data.text}"},
		},
		"answer": {
			order.Order{Graph: order.Answer},
			[]template{
				{"asked", map[string]any{"text": "${object.spec.text}"}},
				{"answered", map[string]any{"answer": "${children.asked.data.answer}"}},
			},
			[]template{
				{"asked", map[string]any{"text": "${schema.spec.text}"}},
				{"answered", map[string]any{"answer": "${asked.data.answer}"}},
			},
			[2]string{"${children.answered.data.answer}", "${answered.data.answer}"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			same := cmp.AllowUnexported(template{})
			if diff := cmp.Diff(tt.apply, applyDialect.templates(tt.order), same); diff != "" {
				t.Errorf("templates of kooperd (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.kro, kroDialect.templates(tt.order), same); diff != "" {
				t.Errorf("templates of kro (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.status, [2]string{applyDialect.status(tt.order), kroDialect.status(tt.order)}); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

// Each child of a chain reads the one before, and the status reads the last.
func TestTemplatesOfChain(t *testing.T) {
	o := order.Order{Graph: order.Chain}
	all := applyDialect.templates(o)
	before := "${object.spec.text}"
	for i, one := range all {
		key := order.BeforeKey
		if i == 0 {
			key = order.TextKey
		}
		if diff := cmp.Diff(map[string]any{key: before}, one.data); diff != "" {
			t.Errorf("child %s (-want +got):\n%s", one.part, diff)
		}
		before = "${children." + one.part + ".metadata.uid}"
	}
	if got := applyDialect.status(o); len(all) != 5 || got != before {
		t.Errorf("have %d children and the status %s, want 5 and %s", len(all), got, before)
	}
}
