package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRefused(t *testing.T) {
	now := time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)
	b := NewBoard(discard{})
	b.now = func() time.Time { return now }
	want := func(what string, want Refusal, reason string) {
		t.Helper()
		if diff := cmp.Diff(want, b.Refused()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if got := b.Refused().Reason(); got != reason {
			t.Errorf("%s: the reason is %q, want %q", what, got, reason)
		}
	}
	want("at first", Refusal{}, "")
	b.SetRefused("a.cue:1:2: one\n\n\tb.cue:3:4:   two\r\n")
	two := Refusal{Mistakes: []string{"a.cue:1:2: one", "b.cue:3:4: two"}, Total: 2, Since: now}
	want("two mistakes", two, "a.cue:1:2: one; b.cue:3:4: two")
	now = now.Add(time.Minute)
	b.SetRefused("a.cue:1:2: one\nb.cue:3:4: two")
	want("the same again", two, "a.cue:1:2: one; b.cue:3:4: two")
	b.SetRefused("b.cue:3:4: two")
	want("one is mended", Refusal{Mistakes: two.Mistakes[1:], Total: 1, Since: now}, "b.cue:3:4: two")
	b.SetRefused(" \n")
	want("it runs", Refusal{}, "")
}

func TestRefusedIsBounded(t *testing.T) {
	b := NewBoard(discard{})
	var all strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&all, "a.cue:%d:1: %s\n", i+1, strings.Repeat("ä", 1000))
	}
	b.SetRefused(all.String())
	got := b.Refused()
	if len(got.Mistakes) != maxMistakes || got.Total != 5000 || !strings.HasPrefix(got.Mistakes[19], "a.cue:20:1: ä") {
		t.Errorf("%d of %d mistakes are kept", len(got.Mistakes), got.Total)
	}
	for _, mistake := range got.Mistakes {
		if len(mistake) > maxMistake || !strings.HasSuffix(mistake, "ä…") {
			t.Errorf("%d bytes of one are kept: %q", len(mistake), mistake)
		}
	}
	if reason := got.Reason(); !strings.HasSuffix(reason, "…; and 4980 more") {
		t.Errorf("the reason ends in %q", reason[len(reason)-40:])
	}
}
