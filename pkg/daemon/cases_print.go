package daemon

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"sigs.k8s.io/yaml"
)

// What became of a case.
const (
	testPassed  = "passed"
	testFailed  = "failed"
	testSkipped = "skipped"
	testUpdated = "updated"
)

// testReport is what the command prints as JSON.
type testReport struct {
	Cases   []testResult `json:"cases"`
	Passed  int          `json:"passed"`
	Failed  int          `json:"failed"`
	Skipped int          `json:"skipped"`
	Updated int          `json:"updated"`
}

// testResult is what came of one case.
type testResult struct {
	Name        string           `json:"name"`
	File        string           `json:"file"`
	Definition  string           `json:"definition"`
	Result      string           `json:"result"`
	Why         string           `json:"why,omitempty"`
	At          string           `json:"at,omitempty"` // where in the config the error comes from
	Differences []testDifference `json:"differences,omitempty"`
	Diff        string           `json:"diff,omitempty"`
	Notes       []string         `json:"notes,omitempty"`
}

// testDifference is one thing that is not as expected, without what is secret.
type testDifference struct {
	Section string `json:"section"`
	Name    string `json:"name,omitempty"`
	Want    any    `json:"want"`
	Got     any    `json:"got"`

	title string
}

// add adds a result and counts it.
func (r *testReport) add(result testResult) {
	switch result.Result {
	case testPassed:
		r.Passed++
	case testFailed:
		r.Failed++
	case testSkipped:
		r.Skipped++
	case testUpdated:
		r.Updated++
	}
	var diff strings.Builder
	for _, d := range result.Differences {
		diff.WriteString(d.diff())
	}
	result.Diff = diff.String()
	r.Cases = append(r.Cases, result)
}

// diff is what differs, as diff -u writes it.
func (d testDifference) diff() string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: linesOf(d.Want), B: linesOf(d.Got), FromFile: d.title + " (expected)", ToFile: d.title + " (got)", Context: diffContext,
	})
	if err != nil {
		return fmt.Sprintf("# %s cannot be compared: %v\n", d.title, err)
	}
	return text
}

// linesOf is a value as lines of YAML, and a text as it is. Nothing has no lines.
func linesOf(value any) []string {
	text, isText := value.(string)
	switch {
	case value == nil, isText && text == "":
		return nil
	case !isText:
		written, err := yaml.Marshal(value)
		if err != nil {
			written = fmt.Appendf(nil, "# it cannot be written as YAML: %v", err)
		}
		text = string(written)
	}
	return difflib.SplitLines(strings.TrimSuffix(text, "\n"))
}

// summary is the last line.
func (r *testReport) summary() string {
	parts := []string{fmt.Sprintf("%d passed", r.Passed)}
	if r.Failed > 0 {
		parts = append([]string{fmt.Sprintf("%d failed", r.Failed)}, parts...)
	}
	if r.Updated > 0 {
		parts = append(parts, fmt.Sprintf("%d updated", r.Updated))
	}
	if r.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", r.Skipped))
	}
	return strings.Join(parts, ", ")
}

// print writes the answer.
func (r *testRun) print(report testReport) error {
	switch r.flags.format {
	case formatJSON:
		return writeJSON(r.stdout, report)
	case formatJUnit:
		return r.printJUnit(report)
	}
	var out bytes.Buffer
	paint := painter(isTerminal(r.stdout) && os.Getenv("NO_COLOR") == "")
	for _, c := range report.Cases {
		c.write(&out, paint)
	}
	if report.Failed > 0 {
		fmt.Fprintf(&out, "%s: %s\n", paint.line(colorRed, "FAIL"), report.summary())
	} else {
		fmt.Fprintf(&out, "ok: %s\n", report.summary())
	}
	return printed(r.stdout.Write(out.Bytes()))
}

// write writes a case for a person: a line, and for one that has failed why.
func (t testResult) write(out *bytes.Buffer, paint painter) {
	switch t.Result {
	case testPassed:
		fmt.Fprintf(out, "%s      %s\n", paint.line(colorGreen, "ok"), t.Name)
	case testUpdated:
		fmt.Fprintf(out, "%s  %s\n", paint.line(colorYellow, "update"), t.Name)
	case testSkipped:
		fmt.Fprintf(out, "%s    %s: %s\n", paint.line(colorYellow, "skip"), t.Name, plain(t.Why))
	default:
		fmt.Fprintf(out, "%s    %s\n", paint.line(colorRed, "FAIL"), t.Name)
		if t.Why != "" {
			fmt.Fprintf(out, "%s\n", plain(t.Why))
		}
		if t.At != "" {
			fmt.Fprintf(out, "%s: the error comes from here\n", t.At)
		}
		out.WriteString(paint.diff(t.Diff))
		for _, note := range t.Notes {
			fmt.Fprintf(out, "Note: %s.\n", plain(note))
		}
	}
}

// The report that CI systems read.
type (
	junitSuites struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Suite    junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// printJUnit writes the report that CI systems read.
func (r *testRun) printJUnit(report testReport) error {
	suites := junitSuites{Tests: len(report.Cases), Failures: report.Failed, Skipped: report.Skipped}
	suites.Suite = junitSuite{Name: "kooperd test", Tests: suites.Tests, Failures: suites.Failures, Skipped: suites.Skipped}
	for _, c := range report.Cases {
		one := junitCase{Name: c.Name, Class: c.Definition, File: c.File}
		switch c.Result {
		case testFailed:
			one.Failure = &junitMessage{Message: "not as expected", Text: c.Diff}
			if c.Why != "" {
				one.Failure.Message = c.Why
			}
			if c.At != "" {
				one.Failure.Text = c.At + ": the error comes from here\n" + c.Diff
			}
		case testSkipped:
			one.Skipped = &junitMessage{Message: c.Why}
		}
		suites.Suite.Cases = append(suites.Suite.Cases, one)
	}
	text, err := xml.MarshalIndent(suites, "", "  ")
	if err != nil {
		return &runError{fmt.Errorf("printing the answer: %w", err)}
	}
	return printed(r.stdout.Write([]byte(xml.Header + string(text) + "\n")))
}
