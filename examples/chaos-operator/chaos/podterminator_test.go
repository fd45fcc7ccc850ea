package chaos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pods makes Pods of their names.
func pods(text string) []Pod {
	var all []Pod
	for name := range strings.FieldsSeq(text) {
		all = append(all, Pod{Name: name, UID: types.UID("uid of " + name)})
	}
	return all
}

var noon = metav1.Date(2000, time.January, 1, 12, 0, 0, 999, time.UTC)

func TestAnnounce(t *testing.T) {
	for _, c := range []struct {
		running                   string
		percent, minimum, maxPods int
		dryRun                    bool
		want, reason              string
	}{
		{"a b c d", 50, 0, 10, false, "a b", "PeriodBegins"},
		{"a b c d", 1, 0, 10, false, "a", "PeriodBegins"},
		{"a b c d", 51, 0, 10, false, "a b c", "PeriodBegins"},
		{"a b c d", 100, 0, 10, false, "a b c d", "PeriodBegins"},
		{"a b c d", 100, 3, 10, false, "a", "PeriodBegins"},
		{"a b c d", 100, 0, 2, false, "a b", "PeriodBegins"},
		{"a b c d", 50, 0, 10, true, "a b", "DryRun"},
		{"a b c d", 50, 4, 10, false, "", "TooFewPods"},
		{"a b c d", 50, 9, 10, true, "", "TooFewPods"},
		{"", 50, 0, 10, false, "", "TooFewPods"},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			pt := &PodTerminator{Spec: Spec{TerminationPercent: c.percent, MinimumInstances: c.minimum, PeriodSeconds: 60}}
			pt.Generation = 7
			pt.announce(noon, pods(c.running), c.maxPods, c.dryRun)
			if got := strings.Join(names(pt.Status.Next.Pods), " "); got != c.want {
				t.Errorf("announced are %q, want %q", got, c.want)
			}
			condition := meta.FindStatusCondition(pt.Status.Conditions, "Announced")
			if condition.Reason != c.reason || (condition.Status == metav1.ConditionTrue) != (c.want != "") {
				t.Errorf("the condition is %+v, want the reason %s", condition, c.reason)
			}
			if want := noon.Add(time.Minute + time.Second).Truncate(time.Second); !pt.Status.Next.Time.Time.Equal(want) || !pt.isAnnounced() {
				t.Errorf("the time is %s, want %s; it is announced: %t", pt.Status.Next.Time, want, pt.isAnnounced())
			}
		})
	}
}

func TestIsDue(t *testing.T) {
	pt := &PodTerminator{}
	if pt.isAnnounced() || pt.isDue(noon) {
		t.Error("a new one is announced or due")
	}
	pt.Status.Next = &Round{Time: noon}
	if before := metav1.NewTime(noon.Add(-1)); pt.isDue(before) || !pt.isDue(noon) {
		t.Errorf("due before its time: %t, at its time: %t", pt.isDue(before), pt.isDue(noon))
	}
	pt.Generation = 1
	if pt.isAnnounced() || pt.isDue(noon) {
		t.Error("what was announced for an earlier spec is announced or due")
	}
}

func TestVictims(t *testing.T) {
	for _, c := range []struct {
		announced, running string
		minimum            int
		victims, spared    string
	}{
		{"a b", "a b c d", 2, "a b", ""},
		{"a b", "a b c", 2, "a", "b"},
		{"a b", "b c d", 2, "b", ""}, // a is gone, be it by a call that was cut off
		{"a b", "b c", 2, "", "b"},
		{"a b", "a b", 5, "", "a b"},
		{"a b", "c d e", 0, "", ""},
		{"", "a b", 0, "", ""},
	} {
		pt := &PodTerminator{Spec: Spec{MinimumInstances: c.minimum}, Status: Status{Next: &Round{Pods: pods(c.announced)}}}
		victims, spared := pt.victims(pods(c.running))
		if got, left := strings.Join(names(victims), " "), strings.Join(names(spared), " "); got != c.victims || left != c.spared {
			t.Errorf("of %q announced, %q running, at least %d: victims %q, spared %q; want %q, %q",
				c.announced, c.running, c.minimum, got, left, c.victims, c.spared)
		}
	}
	pt := &PodTerminator{Status: Status{Next: &Round{Pods: pods("a")}}}
	if victims, _ := pt.victims([]Pod{{Name: "a", UID: "of another one"}}); len(victims) > 0 {
		t.Errorf("a pod of the same name is a victim: %v", victims)
	}
}
