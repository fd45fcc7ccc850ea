package statusz

import (
	"reflect"
	"slices"
	"testing"
)

func TestLinesOfRefusals(t *testing.T) {
	for _, tc := range []struct {
		refusal Refusal
		want    []string
	}{
		{Refusal{Reason: "of an older replica"}, []string{"of an older replica"}},
		{Refusal{Reason: "a", Mistakes: []string{"a"}, MistakesTotal: 1}, []string{"a"}},
		{Refusal{Reason: "a; b; and 7 more", Mistakes: []string{"a", "b"}, MistakesTotal: 9}, []string{"a", "b", "and 7 more"}},
	} {
		if got := tc.refusal.Lines(); !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.refusal, got, tc.want)
		}
	}
}

func TestItemsOfDefinitions(t *testing.T) {
	for _, tc := range []struct {
		items       Items
		definitions int
		want        int
	}{
		{Items{Each: 10}, 1, 10},
		{Items{Each: 10}, 40, 10},
		{Items{Each: 10}, 100, 4},
		{Items{Each: 100}, 200, 2},
		{Items{Each: 100}, 1000, 0},
		{Items{Each: 100, Definition: "a"}, 200, 100},
		{Items{Each: 100, Definition: "b"}, 1, 0},
		{Items{Whole: 8}, 3, 0},
		{Items{Each: 7}, 0, 7},
	} {
		if got := tc.items.Of("a", tc.definitions); got != tc.want {
			t.Errorf("%+v of %d definitions: %d, want %d", tc.items, tc.definitions, got, tc.want)
		}
	}
	if n := reflect.TypeFor[Objects]().NumField(); n != listsOfObjects {
		t.Errorf("there are %d lists", n)
	}
}
