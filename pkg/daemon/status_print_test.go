package daemon

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// golden compares a text with a file of testdata/status, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "status", name)
	if update := flag.Lookup("update"); update != nil && update.Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// written is what a sheet writes. The escape character of colors is shown as ^.
func written(t *testing.T, s *sheet) string {
	t.Helper()
	var out strings.Builder
	if err := s.write(&out); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), "\x1b", "^")
}

func TestWriteStatus(t *testing.T) {
	nobody, disabled, gone, lost, unread := standbyReport(), standbyReport(), standbyReport(), standbyReport(), standbyReport()
	nobody.Leadership = statusz.Leadership{Lease: "kooper-system/kooperd"}
	gone.Leadership.Renewed, gone.Leadership.Expired = before(4*time.Minute), true
	lost.Leadership, lost.Process.Name = gone.Leadership, leaderName
	unread.Leadership = statusz.Leadership{Lease: "kooper-system/kooperd", Unread: true}
	unneeded := standbyReport()
	unneeded.Leadership = statusz.Leadership{Lease: "kooper-system/kooperd", Unneeded: true, Unread: true}
	disabled.Leadership = statusz.Leadership{Disabled: true, Leading: true}
	for name, tc := range map[string]struct {
		report   *statusz.Report
		terminal terminal
		short    bool
	}{
		"leader.txt":       {report: leaderReport()},
		"leader-160.txt":   {report: leaderReport(), terminal: terminal{is: true, colors: true, width: 160}},
		"leader-80.txt":    {report: leaderReport(), terminal: terminal{is: true, width: 80}},
		"leader-short.txt": {report: leaderReport(), terminal: terminal{is: true, width: 100}, short: true},
		"standby.txt":      {report: standbyReport()},
		"nobody.txt":       {report: nobody},
		"gone.txt":         {report: gone},
		"lost.txt":         {report: lost},
		"unread.txt":       {report: unread},
		"disabled.txt":     {report: disabled},
		"unneeded.txt":     {report: unneeded},
		"nothing.txt":      {report: &statusz.Report{Time: reportTime, Ready: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sheet{terminal: tc.terminal, short: tc.short}
			writeStatus(s, tc.report, fewDefinitions)
			got := written(t, s)
			golden(t, name, got)
			for line := range strings.Lines(got) {
				if width := tc.terminal.width; tc.short && len([]rune(strings.TrimSuffix(line, "\n"))) > width {
					t.Errorf("a line is wider than %d: %q", width, line)
				}
			}
		})
	}
}

// manyDefinitions has one of each kind that is not to be left out, behind others by its name.
func manyDefinitions() *statusz.Report {
	report := standbyReport()
	report.Definitions = nil
	for i := range 200 {
		d := statusz.Definition{Name: fmt.Sprintf("d%03d", i), Status: in(status.Running, time.Hour, "")}
		switch i {
		case 199:
			d.Status = in(status.Degraded, time.Minute, "forbidden to list and watch secrets")
		case 150:
			d.Calls = statusz.Calls{Workers: 1, Window: 300, Total: 9, Failed: 2}
		case 120:
			d.Status = in(status.Waiting, time.Minute, "the API server does not serve kind Widget of example.com/v1")
		case 160:
			d.Queue = statusz.Queue{Waiting: 3, Oldest: 40}
		case 161:
			d.Queue = statusz.Queue{Waiting: 3, Oldest: 0.2}
		case 170:
			d.Rollout = "3 of 9 objects are changed"
		case 180:
			d.Status = in(status.Paused, time.Hour, "")
		}
		report.Definitions = append(report.Definitions, d)
	}
	return report
}

// shownDefinitions are the names in the table of definitions.
func shownDefinitions(text string) (names []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if name, _, _ := strings.Cut(line, " "); len(name) == 4 && name[0] == 'd' {
			names = append(names, name)
		}
	}
	return names
}

// TestStatusShowsNeedFirst has so many definitions that few fit on a screen.
func TestStatusShowsNeedFirst(t *testing.T) {
	s := &sheet{}
	writeStatus(s, manyDefinitions(), (&statusFlags{all: true}).few())
	names := shownDefinitions(written(t, s))
	if len(names) != 200 || !slices.Equal(names[:5], []string{"d199", "d120", "d150", "d000", "d001"}) {
		t.Errorf("%d definitions, in the order %v", len(names), names)
	}
}

// TestStatusLeavesOutWhatJustRuns counts the definitions of which there is nothing to say.
func TestStatusLeavesOutWhatJustRuns(t *testing.T) {
	report := manyDefinitions()
	show := func() (names []string, text string) {
		s := &sheet{}
		writeStatus(s, report, (&statusFlags{}).few())
		text = written(t, s)
		return shownDefinitions(text), text
	}
	names, text := show()
	if want := []string{"d016", "d160", "d170", "d180"}; len(names) != 23 || names[0] != "d199" || !slices.Equal(names[19:], want) {
		t.Errorf("%d definitions, in the order %v; want 23 of them, the last ones %v", len(names), names, want)
	}
	for _, want := range []string{"200 DEFINITIONS: 1 Waiting, 197 Running, 1 Degraded, 1 Paused\n", "\n… and 177 more that run (--all shows them)\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\ndoes not contain\n%s", text, want)
		}
	}
	report.Definitions = report.Definitions[:fewDefinitions+1]
	if names, text = show(); len(names) != fewDefinitions+1 || strings.Contains(text, "more that run") {
		t.Errorf("one is left out, which its line would have room for:\n%s", text)
	}
	report.Definitions = manyDefinitions().Definitions[:fewDefinitions+2]
	if names, text = show(); len(names) != fewDefinitions || !strings.Contains(text, "… and 2 more that run") {
		t.Errorf("of %d there are %d:\n%s", fewDefinitions+2, len(names), text)
	}
}

// TestExplanationSaysWhoTells it, and whether that one can know.
func TestExplanationSaysWhoTells(t *testing.T) {
	lease := statusz.Leadership{Lease: "kooper-system/kooperd", Holder: leaderName, Since: before(3 * time.Hour), Renewed: before(4 * time.Minute), Expired: true}
	for _, tc := range []struct {
		name  string
		lease statusz.Leadership
		want  string
	}{
		{standbyName, lease, standbyName + ", a standby, which handles nothing under the lease. Who leads is not known: " + leaderName + " held the lease, which was renewed last 4m ago.\n"},
		{leaderName, lease, leaderName + ", which has lost the lease, renewed last 4m ago, and handles nothing under it. Who leads now is not known.\n"},
		{standbyName, statusz.Leadership{Unread: true}, standbyName + ", a standby, which handles nothing under the lease. It has not read the lease yet.\n"},
		{standbyName, statusz.Leadership{Unneeded: true, Unread: true}, standbyName + ", which works like every replica: no definition needs the lease.\n"},
		{standbyName, statusz.Leadership{}, standbyName + ", a standby. Nobody leads, so nothing under the lease is handled.\n"},
	} {
		whole := standbyReport()
		whole.Process.Name, whole.Leadership = tc.name, tc.lease
		s := &sheet{}
		writeExplanation(s, objectReports()["standby"], whole)
		if got := written(t, s); !strings.Contains(got, "Told by "+tc.want) {
			t.Errorf("%s\ndoes not contain\n%s", got, tc.want)
		}
	}
}

// TestWriteStatusOfMistakes has each mistake of a config in a line of its own.
func TestWriteStatusOfMistakes(t *testing.T) {
	report := standbyReport()
	report.Config.Refused = &statusz.Refusal{
		Reason: "a.cue:1:2: one; b.cue:3:4: two; and 7 more", Mistakes: []string{"a.cue:1:2: one", "b.cue:3:4: two"}, MistakesTotal: 9,
		Since: before(2 * time.Minute),
	}
	s := &sheet{}
	writeStatus(s, report, fewDefinitions)
	want := "refused   for 2m a newer config does not run:\n          a.cue:1:2: one\n          b.cue:3:4: two\n          and 7 more\n"
	if got := written(t, s); !strings.Contains(got, want) {
		t.Errorf("%s\ndoes not contain\n%s", got, want)
	}
}

// TestWriteStatusOfForeignText has control characters in what others have written.
func TestWriteStatusOfForeignText(t *testing.T) {
	report := leaderReport()
	report.Definitions[0].Reason = "one\ntwo\x1b[31m"
	report.Objects.Failing.Items[0].Object.Name = "a\rb"
	s := &sheet{}
	writeStatus(s, report, fewDefinitions)
	var out strings.Builder
	if err := s.write(&out); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\r") || !strings.Contains(out.String(), "one two") {
		t.Errorf("control characters get to the terminal: %q", out.String())
	}
}

func TestWriteExplanation(t *testing.T) {
	for name, report := range objectReports() {
		whole := leaderReport()
		if !report.Leading {
			whole = standbyReport()
			whole.Definitions = everyDefinition()
		}
		for file, terminal := range map[string]terminal{
			name + ".txt": {}, name + "-72.txt": {is: true, colors: true, width: 72},
		} {
			t.Run(file, func(t *testing.T) {
				s := &sheet{terminal: terminal}
				writeExplanation(s, report, whole)
				golden(t, "explain-"+file, written(t, s))
			})
		}
	}
}

func TestFigures(t *testing.T) {
	for want, got := range map[string]string{
		"":          shortSeconds(0),
		"400µs":     shortSeconds(0.0004),
		"12ms":      shortSeconds(0.0123),
		"1.5s":      shortSeconds(1.5),
		"2m":        shortSeconds(120),
		"13 (32%)":  failedText(statusz.Calls{Total: 40, Failed: 13}),
		"<0.1/min":  oneWord(statusz.Calls{Window: 3600, Total: 1}.Rate()),
		"Node n1":   refText(statusz.ObjectRef{Kind: "Node", Name: "n1"}),
		"1 line":    plural(1, "line", "lines"),
		"0 lines":   plural(0, "line", "lines"),
		"ab…":       cut("abcd", 3),
		"abcd":      cut("abcd", 4),
		"nothing: ": "nothing: " + cut("abcd", 0),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
