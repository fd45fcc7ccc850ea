package docs_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// block is one fenced block of a page with what its marks say, or a mark that stands alone.
type block struct {
	line     int
	language string
	text     string

	skip       string // reason
	file       string // name of the file it is written to
	appended   bool   // to the end of that file
	from       string // file that it must be a part of
	inside     string // path of the config that it is the inside of
	mistake    string // what validating it must say
	binary     string // program that validates it instead of kooperd
	values     bool   // it is values of the chart
	parseOnly  string // reason
	logged     bool   // the last command in the background prints it
	background bool   // its command goes on until the end of the page
	eventually bool   // its commands are repeated until they print what is shown
	status     int    // exit status of its last command

	hidden string // a command that readers do not see
	job    string // one that goes on in the background
	stop   bool   // ends what runs in the background
	needs  string // a program without which the rest of the page is left out

	release bool // its commands need a release whose pods run: test/chart runs them
}

// tested reports whether there is anything to do.
func (b *block) tested() bool {
	return b.skip == "" && !b.release && (b.language != "text" || b.logged)
}

var (
	fence   = regexp.MustCompile("^([ \t]*)(```+)[ \t]*([^ \t`]*)[ \t]*$")
	mark    = regexp.MustCompile(`(?s)^[ \t]*<!-- test: (.*?)[ \t\n]*-->[ \t]*$`)
	comment = regexp.MustCompile(`^[ \t]*<!-- test:`)
)

// parse finds the blocks and marks of a page.
func parse(page string) ([]block, error) {
	var blocks []block
	lines := strings.Split(page, "\n")
	next := block{}
	marked := false
	for i := 0; i < len(lines); i++ {
		start := i
		switch {
		case comment.MatchString(lines[i]):
			for i+1 < len(lines) && !strings.Contains(lines[i], "-->") {
				i++
			}
			alone, err := next.addMark(strings.Join(lines[start:i+1], "\n"))
			if err != nil {
				return nil, fmt.Errorf("%d: %w", start+1, err)
			}
			if alone {
				next.line = start + 1
				blocks = append(blocks, next)
				next = block{}
				continue
			}
			marked = true
		case fence.MatchString(lines[i]):
			open := fence.FindStringSubmatch(lines[i])
			next.line, next.language = start+1, open[3]
			var text []string
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != open[2]; i++ {
				text = append(text, strings.TrimPrefix(lines[i], open[1]))
			}
			if i == len(lines) {
				return nil, fmt.Errorf("%d: the block has no end", start+1)
			}
			next.text = strings.Join(text, "\n") + "\n"
			blocks = append(blocks, next)
			next, marked = block{}, false
		case marked && strings.TrimSpace(lines[i]) != "":
			return nil, fmt.Errorf("%d: a mark must stand right before its block", start+1)
		}
	}
	if marked {
		return nil, errors.New("1: a mark stands before no block")
	}
	return blocks, nil
}

// addMark reads one comment; alone says that it belongs to no block.
func (b *block) addMark(text string) (alone bool, err error) {
	match := mark.FindStringSubmatch(text)
	if match == nil {
		return false, fmt.Errorf("the mark %q is not one comment by itself", text)
	}
	word, rest, _ := strings.Cut(match[1], " ")
	rest = strings.TrimSpace(rest)
	word = strings.TrimSuffix(word, ",")
	wantsText := !slices.Contains([]string{"background", "eventually", "logged", "release", "stop", "values"}, word)
	if wantsText == (rest == "") {
		return false, fmt.Errorf("the mark %q: its text is missing, or too much", text)
	}
	switch word {
	case "skip":
		b.skip = rest
	case "file":
		b.file = rest
	case "append":
		b.file, b.appended = rest, true
	case "from":
		b.from = rest
	case "inside":
		b.inside = rest
	case "mistake":
		b.mistake = rest
	case "with":
		b.binary = rest
	case "parse":
		b.parseOnly = rest
	case "values":
		b.values = true
	case "release":
		b.release = true
	case "logged":
		b.logged = true
	case "background":
		b.background = true
	case "eventually":
		b.eventually = true
	case "status":
		if b.status, err = strconv.Atoi(rest); err != nil {
			return false, fmt.Errorf("the mark %q: %w", text, err)
		}
	case "run":
		b.hidden = rest
	case "job":
		b.job = rest
	case "stop":
		b.stop = true
	case "needs":
		b.needs = rest
	default:
		return false, fmt.Errorf("unknown mark %q", text)
	}
	return b.hidden != "" || b.job != "" || b.stop || b.needs != "", nil
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
	id      = regexp.MustCompile(`<a id="([^"]*)">`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	code    = regexp.MustCompile("(?s)(?:^|\n)[ \t]*```.*?\n[ \t]*```")
)

// links are the links of a page that stay within the repository.
func links(page string) []string {
	var all []string
	for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(page, ""), -1) {
		if !strings.Contains(match[1], "://") && !strings.HasPrefix(match[1], "mailto:") {
			all = append(all, match[1])
		}
	}
	return all
}

// anchors are the places of a page that a link can lead to, headings by the rule of GitHub.
func anchors(page string) []string {
	page = code.ReplaceAllString(page, "")
	var all []string
	seen := map[string]int{}
	for _, match := range heading.FindAllStringSubmatch(page, -1) {
		text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(strings.ReplaceAll(match[1], "`", ""), "")
		if strings.Contains(match[1], "`") { // what stands between backticks is no HTML
			text = regexp.MustCompile(`<a [^>]*></a>`).ReplaceAllString(match[1], "")
		}
		slug := strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
		if n := seen[slug]; n > 0 {
			all = append(all, fmt.Sprintf("%s-%d", slug, n))
		} else {
			all = append(all, slug)
		}
		seen[slug]++
	}
	for _, match := range id.FindAllStringSubmatch(page, -1) {
		all = append(all, match[1])
	}
	return all
}

func TestParse(t *testing.T) {
	got, err := parse(strings.Join([]string{
		"# Page", "", "<!-- test: run mkdir x", "cd x -->", "<!-- test: file a.cue -->", "", "```cue", "a: 1", "```", "text",
		"- item", "", "  <!-- test: skip, needs Docker -->", "  ```sh", "  docker run", "    x", "  ```", "<!-- test: stop -->",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []block{
		{line: 3, hidden: "mkdir x\ncd x"},
		{line: 7, language: "cue", text: "a: 1\n", file: "a.cue"},
		{line: 14, language: "sh", text: "docker run\n  x\n", skip: "needs Docker"},
		{line: 18, stop: true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(block{})); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, page := range map[string]string{
		"skip without a reason":   "<!-- test: skip -->\n```sh\nx\n```",
		"unknown mark":            "<!-- test: skpi, x -->\n```sh\nx\n```",
		"text between":            "<!-- test: background -->\ntext\n```sh\nx\n```",
		"a mark before no block":  "<!-- test: background -->\n",
		"a block without an end":  "```sh\nx\n",
		"something behind a mark": "<!-- test: background --> text\n```sh\nx\n```",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parse(page); err == nil {
				t.Errorf("parse = %+v, want an error", got)
			}
		})
	}
}
