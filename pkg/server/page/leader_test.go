package page

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/server/page/pagetest"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// TestWhoDoesNotWork: a replica that knows nothing of objects says so on every page, and says who
// knows, and none that all is well.
func TestWhoDoesNotWork(t *testing.T) {
	well := []string{"No object is failing", "None is failing", "needs attention</h1>", `class="verdict ok"`}
	for name, tc := range map[string]struct {
		reporter *pagetest.Reporter
		overview []string
		unknown  string // with %s for whose objects
		object   string
	}{
		"stands by": {
			pagetest.Standby(), []string{"leads for", "This replica stands by, ready for 10 definitions", "This replica stands by<span", ">stands by</span>"},
			"Whether %s are in trouble is known to the replica that leads, <b>kooperd-7d9f8b6c5-x2x4q_3b1f0c9e-8a44-4d0e-9a53-0f5f6f0a2c11</b>.",
			`Ask <span class="name">kooperd-7d9f8b6c5-x2x4q`,
		},
		"nobody leads": {
			pagetest.Nobody(), []string{">Nobody holds the lease</h1>", `class="verdict bad"`, ">nobody leads</span>"},
			"Nobody leads, so nobody knows whether %s are in trouble.", "This replica handles nothing under the lease. Nobody does.",
		},
		"cut off": {
			pagetest.CutOff(), []string{">Nobody has renewed the lease for 4m</h1>", `class="verdict bad"`, "</b> held it, renewed last <time", ">sees no leader</span>"},
			"Whether %s are in trouble is not known here. <b>kooperd-7d9f8b6c5-x2x4q_3b1f0c9e-8a44-4d0e-9a53-0f5f6f0a2c11</b> led when the lease was renewed last,",
			"</span> led when the lease was renewed last,",
		},
		"lost": {
			pagetest.Lost(), []string{">This replica has lost the lease, and sees nobody else lead</h1>", `class="verdict bad"`, ">lost the lease</span>", "renewed last <time"},
			"Whether %s are in trouble is not known any more.", "It has lost the lease.",
		},
		"not read": {
			pagetest.Starting(), []string{">It is not known yet who leads</h1>", "The lease has not been read yet", ">knows no leader</span>"},
			"Whether %s are in trouble is not known here.", "This replica handles nothing under the lease.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := New(tc.reporter, logr.Discard())
			for path, wanted := range map[string][]string{
				"/":                                 append(tc.overview, fmt.Sprintf(tc.unknown, "objects"), `<b class="count">?`),
				"/attention":                        {fmt.Sprintf(tc.unknown, "objects"), `<b class="count">?`},
				"/definitions/website":              {fmt.Sprintf(tc.unknown, "its objects"), `<b class="count">?`, "the cache follows the API server, for when this replica leads", `class="verdict idle"`},
				"/definitions/tag-nodes":            {"None is failing", "and objects are handled"}, // It runs on every replica.
				"/objects/Website/shop/checkout":    {tc.object},
				"/objects/Deployment/shop/checkout": {tc.object},
			} {
				text := get(t, h, path).text
				for _, want := range wanted {
					if !strings.Contains(text, want) {
						t.Errorf("%s has no %q:\n%s", path, want, mainOf(text))
					}
				}
				for _, lie := range well {
					if strings.Contains(text, lie) && path != "/definitions/tag-nodes" {
						t.Errorf("%s says %q", path, lie)
					}
				}
				if who := "<b>kooperd-7d9f8b6c5-x2x4q_3b1f0c9e-8a44-4d0e-9a53-0f5f6f0a2c11</b> leads"; strings.Contains(text, who) && name != "stands by" {
					t.Errorf("%s says %q", path, who)
				}
			}
			// Objects of definitions on every replica are known, and others still are not.
			tc.reporter.Whole.Objects.Failing = statusz.ObjectList{Total: 1, Items: []statusz.ObjectRow{{Definition: "tag-nodes", Object: statusz.ObjectRef{Kind: "Node", Name: "worker-1"}, Reason: "exit status 1"}}}
			for _, path := range []string{"/", "/attention"} {
				text := get(t, h, path).text
				if !strings.Contains(text, "worker-1") || !strings.Contains(text, fmt.Sprintf(tc.unknown, "the objects of other definitions")) {
					t.Errorf("with an object in trouble, %s has\n%s", path, mainOf(text))
				}
			}
		})
	}
}

// mainOf is the content of a page.
func mainOf(text string) string {
	_, text, _ = strings.Cut(text, "<main")
	text, _, _ = strings.Cut(text, "</main>")
	return text[:min(len(text), 4000)]
}

func TestVerdicts(t *testing.T) {
	definitions := func(states ...status.State) []statusz.Definition {
		var all []statusz.Definition
		for i, state := range states {
			all = append(all, statusz.Definition{Name: fmt.Sprint(i), Status: status.Status{State: state}})
		}
		return all
	}
	failing := func(n int) statusz.Objects { return statusz.Objects{Failing: statusz.ObjectList{Total: n}} }
	leads := statusz.Leadership{Leading: true}
	tests := map[string]struct {
		report statusz.Report
		want   string
		class  string // not looked at if it is empty
	}{
		"none":     {report: statusz.Report{Leadership: leads}, want: "There are no definitions"},
		"one":      {report: statusz.Report{Leadership: leads, Definitions: definitions(status.Running)}, want: "1 definition is running"},
		"two":      {report: statusz.Report{Leadership: leads, Definitions: definitions(status.Running, status.Running)}, want: "2 definitions are running"},
		"paused":   {report: statusz.Report{Leadership: leads, Definitions: definitions(status.Running, status.Paused)}, want: "1 definition is running, 1 is paused"},
		"all":      {report: statusz.Report{Leadership: leads, Definitions: definitions(status.Paused)}, want: "1 definition is paused"},
		"degraded": {report: statusz.Report{Leadership: leads, Definitions: definitions(status.Waiting, status.Degraded)}, want: "1 of 2 definitions cannot do all of its work"},
		"waiting":  {report: statusz.Report{Leadership: leads, Definitions: definitions(status.Waiting, status.Syncing)}, want: "1 of 2 definitions waits"},
		"syncing":  {report: statusz.Report{Leadership: leads, Definitions: definitions(status.Syncing, status.Syncing)}, want: "2 of 2 definitions list objects for the first time"},
		"no leader, and more": {
			report: statusz.Report{Definitions: definitions(status.Waiting, status.Degraded), Config: statusz.Config{Refused: &statusz.Refusal{}}, Objects: failing(7)},
			want:   "Nobody holds the lease", class: "bad",
		},
		"no leader":      {report: statusz.Report{Definitions: definitions(status.Running)}, want: "Nobody holds the lease", class: "bad"},
		"objects":        {report: statusz.Report{Leadership: leads, Definitions: definitions(status.Running, status.Running), Objects: failing(5000)}, want: "2 definitions are running; 5,000 objects need attention", class: "wait"},
		"object":         {report: statusz.Report{Leadership: leads, Definitions: definitions(status.Running, status.Paused), Objects: failing(1)}, want: "1 definition is running, 1 is paused; 1 object needs attention", class: "wait"},
		"refused":        {report: statusz.Report{Leadership: leads, Config: statusz.Config{Refused: &statusz.Refusal{}}, Definitions: definitions(status.Running)}, want: "The config that was read last is not run"},
		"lease unneeded": {report: statusz.Report{Leadership: statusz.Leadership{Unneeded: true, Unread: true}, Definitions: definitions(status.Running)}, want: "1 definition is running", class: "ok"},
		"no lease":       {report: statusz.Report{Leadership: statusz.Leadership{Disabled: true}, Definitions: definitions(status.Running)}, want: "1 definition is running"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := verdict(&tc.report); got.Word != tc.want || tc.class != "" && got.Class != tc.class {
				t.Errorf("%q, %s, want %q, %s", got.Word, got.Class, tc.want, tc.class)
			}
		})
	}
}

// TestLeaseUnneeded has another replica that leads, by another config: how long it has led is not
// how long this one has.
func TestLeaseUnneeded(t *testing.T) {
	report := pagetest.Standby()
	report.Whole.Leadership.Unneeded = true
	if report.Whole.Leadership.Since.IsZero() {
		t.Fatal("the report does not say since when the other one leads")
	}
	text := get(t, New(report, logr.Discard()), "/").text
	_, leadership, _ := strings.Cut(text, "<dt>Leadership</dt>")
	leadership, _, _ = strings.Cut(leadership, "</dd>")
	if !strings.Contains(leadership, "No definition needs the lease: every replica works") || strings.Contains(leadership, "<time") {
		t.Errorf("of the leadership, the page says %s", leadership)
	}
}
