package compose

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
)

// merged applies a JSON merge patch.
func merged(live map[string]any, patch map[string]any) map[string]any {
	next := map[string]any{}
	maps.Copy(next, live)
	for name, v := range patch {
		below, isObject := v.(map[string]any)
		have, haveObject := next[name].(map[string]any)
		switch {
		case v == nil:
			delete(next, name)
		case isObject && haveObject:
			next[name] = merged(have, below)
		case isObject:
			next[name] = merged(nil, below)
		default:
			next[name] = v
		}
	}
	return next
}

func TestMergePatch(t *testing.T) {
	for _, tc := range []struct{ live, want, patch string }{
		{live: `{}`, want: `{}`, patch: `{}`},
		{live: `{}`, want: `{"a": 1}`, patch: `{"a": 1}`},
		{live: `{"a": 1}`, want: `{"a": 1}`, patch: `{}`},
		{live: `{"a": 1}`, want: `{"a": 2}`, patch: `{"a": 2}`},
		{live: `{"a": 1, "b": 2}`, want: `{"b": 2}`, patch: `{"a": null}`},
		{live: `{"a": {"b": 1, "c": 2}}`, want: `{"a": {"b": 1, "d": 3}}`, patch: `{"a": {"c": null, "d": 3}}`},
		{live: `{"a": {"b": 1}}`, want: `{"a": {"b": 1}}`, patch: `{}`},
		{live: `{"a": [1, 2]}`, want: `{"a": [1]}`, patch: `{"a": [1]}`},
		{live: `{"a": [{"b": 1}]}`, want: `{"a": [{"b": 1}]}`, patch: `{}`},
		{live: `{"a": {"b": 1}}`, want: `{"a": "x"}`, patch: `{"a": "x"}`},
		{live: `{"a": "x"}`, want: `{"a": {"b": 1}}`, patch: `{"a": {"b": 1}}`},
		{live: `{"a": 1}`, want: `{"a": 1.5}`, patch: `{"a": 1.5}`},
		{live: `{"a": {"b": {"c": 1}}}`, want: `{"a": {"b": {}}}`, patch: `{"a": {"b": {"c": null}}}`},
	} {
		live, want := treeFrom(t, tc.live), treeFrom(t, tc.want)
		patch := mergePatch(live, want)
		if diff := cmp.Diff(treeFrom(t, tc.patch), patch); diff != "" {
			t.Errorf("from %s to %s (-want +got):\n%s", tc.live, tc.want, diff)
		}
		if diff := cmp.Diff(want, merged(live, patch)); diff != "" {
			t.Errorf("the patch from %s to %s makes (-want +got):\n%s", tc.live, tc.want, diff)
		}
	}
	// What is empty and not there is not written: many kinds do not keep it.
	for _, empty := range []string{`{"a": {}}`, `{"a": []}`} {
		if patch := mergePatch(nil, treeFrom(t, empty)); len(patch) > 0 {
			t.Errorf("the patch to %s is %v", empty, patch)
		}
	}
}

func TestStampConditions(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	const stamp, earlier = "2026-03-04T04:06:07Z", "2026-01-01T00:00:00Z"
	ready := condition{kind: conditionReady, status: true, reason: "Ready"}
	tests := map[string]struct {
		existing, given string
		own             []condition
		want            string
	}{
		"the first": {
			own:  []condition{ready},
			want: `[{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + stamp + `", "observedGeneration": 4}]`,
		},
		"the same again": {
			existing: `[{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + earlier + `", "observedGeneration": 4}]`,
			own:      []condition{ready},
			want:     `[{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + earlier + `", "observedGeneration": 4}]`,
		},
		"another reason is no transition": {
			existing: `[{"type": "Ready", "status": "True", "reason": "X", "message": "y", "lastTransitionTime": "` + earlier + `", "observedGeneration": 3}]`,
			own:      []condition{ready},
			want:     `[{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + earlier + `", "observedGeneration": 4}]`,
		},
		"another status is": {
			existing: `[{"type": "Ready", "status": "False", "reason": "X", "message": "y", "lastTransitionTime": "` + earlier + `", "observedGeneration": 3}]`,
			own:      []condition{ready},
			want:     `[{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + stamp + `", "observedGeneration": 4}]`,
		},
		"a schema that has no observedGeneration": {
			existing: `[{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + earlier + `"}]`,
			own:      []condition{ready},
			want:     `[{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + earlier + `"}]`,
		},
		"those of others stay, in their place": {
			existing: `[{"type": "A", "status": "x"}, {"type": "Ready", "status": "True", "lastTransitionTime": "` + earlier + `"}, {"type": "B"}]`,
			own:      []condition{ready},
			want: `[{"type": "A", "status": "x"}, {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + earlier + `"},
				{"type": "B"}]`,
		},
		"what is no condition stays": {
			existing: `["x", {"status": "y"}]`, own: []condition{ready},
			want: `["x", {"status": "y"}, {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + stamp + `", "observedGeneration": 4}]`,
		},
		"the composer's are stamped too": {
			existing: `[{"type": "Synced", "status": "True", "lastTransitionTime": "` + earlier + `", "observedGeneration": 3}]`,
			given:    `[{"type": "Synced", "status": "True", "reason": "x", "lastTransitionTime": "2020-01-01T00:00:00Z"}, {"type": "Live", "status": "False"}]`,
			own:      []condition{ready},
			want: `[{"type": "Synced", "status": "True", "reason": "x", "lastTransitionTime": "` + earlier + `", "observedGeneration": 4},
				{"type": "Live", "status": "False", "lastTransitionTime": "` + stamp + `", "observedGeneration": 4},
				{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + stamp + `", "observedGeneration": 4}]`,
		},
		"the composer's cannot be ours": {
			given: `[{"type": "Ready", "status": "False"}]`, own: []condition{ready},
			want: `[{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + stamp + `", "observedGeneration": 4}]`,
		},
		"two of one type become one": {
			existing: `[{"type": "Ready", "status": "True", "lastTransitionTime": "` + earlier + `"}, {"type": "Ready", "status": "True", "lastTransitionTime": "` + earlier + `"}]`,
			own:      []condition{ready},
			want:     `[{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "` + earlier + `"}]`,
		},
	}
	list := func(t *testing.T, text string) []any {
		items, _ := treeFrom(t, `{"items": `+text+`}`)["items"].([]any)
		return items
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.existing == "" {
				tc.existing = "[]"
			}
			if tc.given == "" {
				tc.given = "[]"
			}
			existing, given := list(t, tc.existing), list(t, tc.given)
			got := stampConditions(existing, "", given, tc.own, 4, now)
			if diff := cmp.Diff(list(t, tc.want), got); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			again := stampConditions(got, "", given, tc.own, 4, now.Add(time.Hour))
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("the next time they are others (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(list(t, tc.given), given); diff != "" {
				t.Errorf("the composer's answer was changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShorten(t *testing.T) {
	if got := shorten(" a\n\tb  c "); got != "a b c" {
		t.Errorf("shorten makes %q", got)
	}
	long := shorten(strings.Repeat("é", 1000))
	if len(long) > 1024 || !strings.HasSuffix(long, "é…") || strings.ContainsRune(long, '\uFFFD') {
		t.Errorf("shorten makes %d bytes that end with %q", len(long), long[len(long)-8:])
	}
}

// passOf is a pass that has planned these ops.
func passOf(ops ...Op) *pass {
	return &pass{ops: ops, executor: &executor{failed: map[ChildID]*opError{}}}
}

func TestConditions(t *testing.T) {
	d := &Desired{ID: pageID, Name: "page"}
	secret := idOf(secretKind, "team-a", "token")
	token := &Desired{ID: secret, Name: "token"}
	current := Op{Action: Skip, Reason: ReasonCurrent, ID: pageID, Desired: d, Ready: true}
	starting := Op{Action: Skip, Reason: ReasonCurrent, ID: pageID, Desired: d, NotReady: "1 of 2 readyReplicas"}
	waiting := Op{Action: Wait, Reason: ReasonAfter, ID: secret, Desired: token, Message: "it waits for child page", NotReady: "it waits for child page"}
	foreign := Op{Action: Refuse, Reason: ReasonForeign, ID: secret, Desired: token, Message: "it is not ours", NotReady: "it is not ours"}
	tests := map[string]struct {
		pass *pass
		want []string
	}{
		"no child":          {pass: passOf(), want: []string{"Ready True Ready", "Progressing False Settled", "Degraded False AsDesired"}},
		"all as desired":    {pass: passOf(current), want: []string{"Ready True Ready", "Progressing False Settled", "Degraded False AsDesired"}},
		"one not ready yet": {pass: passOf(starting), want: []string{"Ready False NotReady ConfigMap team-a/page: 1 of 2 readyReplicas", "Progressing True NotReady ConfigMap team-a/page: 1 of 2 readyReplicas", "Degraded False AsDesired"}},
		"the one that blocks before the one that waits": {
			pass: passOf(waiting, starting),
			want: []string{"Ready False NotReady ConfigMap team-a/page: 1 of 2 readyReplicas", "Progressing True NotReady ConfigMap team-a/page: 1 of 2 readyReplicas", "Degraded False AsDesired"},
		},
		"a refusal": {
			pass: passOf(current, foreign),
			want: []string{"Ready False Foreign child token: it is not ours", "Progressing False Settled", "Degraded True Foreign child token: it is not ours"},
		},
		"a failure": {
			pass: func() *pass {
				p := passOf(Op{Action: Refuse, Reason: reasonForbidden, ID: pageID, Desired: d, Message: "forbidden", NotReady: "forbidden"})
				p.failed[pageID] = &opError{reason: reasonForbidden, err: errors.New("applying ConfigMap team-a/page: forbidden")}
				return p
			}(),
			want: []string{"Ready False Forbidden applying ConfigMap team-a/page: forbidden", "Progressing False Settled", "Degraded True Forbidden applying ConfigMap team-a/page: forbidden"},
		},
		"something that still has to go": {
			pass: passOf(current, Op{Action: Wait, Reason: ReasonDeleting, ID: secret, Message: "it is being deleted"}),
			want: []string{"Ready True Ready", "Progressing True Deleting Secret team-a/token: it is being deleted", "Degraded False AsDesired"},
		},
		"what is retained": {
			pass: passOf(current, Op{Action: Retain, Reason: ReasonProtected, ID: secret, Message: "x"}),
			want: []string{"Ready True Ready", "Progressing False Settled", "Degraded False AsDesired"},
		},
		"what says that it is ours": {
			pass: passOf(current, Op{Action: Refuse, Reason: ReasonForeign, ID: secret, Message: "x"}),
			want: []string{"Ready True Ready", "Progressing False Settled", "Degraded False AsDesired"},
		},
		"drift that is reported": {
			pass: passOf(Op{Action: Skip, Reason: ReasonDrift, ID: pageID, Desired: d, Ready: true, Message: "another party has changed .data.a"}),
			want: []string{"Ready True Ready", "Progressing False Settled", "Degraded True Drift ConfigMap team-a/page: another party has changed .data.a"},
		},
		"pending": {
			pass: func() *pass {
				p := passOf(current)
				p.composition.Pending = []handlers.Pending{{Name: "token", On: "Secret team-a/x"}}
				return p
			}(),
			want: []string{"Ready False Pending child token is waiting for Secret team-a/x", "Progressing True Pending child token is waiting for Secret team-a/x", "Degraded False AsDesired"},
		},
		"what another party has to do before a child that is not ready": {
			pass: func() *pass {
				p := passOf(starting)
				p.composition.Pending = []handlers.Pending{{Name: "server", On: "child token"}, {Name: "token", On: "Secret team-a/x"}}
				return p
			}(),
			want: []string{"Ready False Pending child token is waiting for Secret team-a/x", "Progressing True Pending child token is waiting for Secret team-a/x", "Degraded False AsDesired"},
		},
		"a child that is not ready before what waits for it": {
			pass: func() *pass {
				p := passOf(starting)
				p.composition.Children = []handlers.Child{{Name: "page"}}
				p.composition.Pending = []handlers.Pending{{Name: "server", On: "child page"}}
				return p
			}(),
			want: []string{"Ready False NotReady ConfigMap team-a/page: 1 of 2 readyReplicas", "Progressing True NotReady ConfigMap team-a/page: 1 of 2 readyReplicas", "Degraded False AsDesired"},
		},
		"what is wrong before a child that is not ready": {
			pass: passOf(starting, foreign),
			want: []string{"Ready False Foreign child token: it is not ours", "Progressing True NotReady ConfigMap team-a/page: 1 of 2 readyReplicas", "Degraded True Foreign child token: it is not ours"},
		},
		"a problem that hinders no child": {
			pass: func() *pass {
				p := passOf(current)
				p.composition.Problems = []string{"evaluating status.url: no host"}
				return p
			}(),
			want: []string{"Ready True Ready", "Progressing False Settled", "Degraded True Problem evaluating status.url: no host"},
		},
		"an error of the composer": {
			pass: func() *pass {
				p := passOf(current)
				p.err = &composeError{err: errors.New("no spec")}
				return p
			}(),
			want: []string{"Ready False ComposeFailed composing: no spec", "Progressing False Settled", "Degraded True ComposeFailed composing: no spec"},
		},
		"a finalizer that may not be added": {
			pass: func() *pass {
				p := passOf(current)
				p.err = &opError{reason: reasonForbidden, err: errors.New("adding finalizer x: forbidden")}
				return p
			}(),
			want: []string{"Ready False Forbidden adding finalizer x: forbidden", "Progressing False Settled", "Degraded True Forbidden adding finalizer x: forbidden"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range tc.pass.conditions() {
				got = append(got, strings.TrimSpace(strings.Join([]string{c.kind, truth(c.status), c.reason, c.message}, " ")))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
		})
	}
}
