package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"k8s.io/apimachinery/pkg/version"
)

// hintFor guesses what a text was meant to be that a definition of the schema refuses.
func hintFor(ref, text string) string {
	switch ref {
	case "#Duration":
		return durationHint(text)
	case "#DNSLabel":
		if text == "" || text == "*" {
			return "leave namespaces out to watch all of them"
		}
		return labelHint(text)
	case "#Kind":
		return kindNameHint(text)
	case "#GroupVersion":
		return groupVersionHint(text)
	}
	return ""
}

// synonyms are what people write for a word of the language.
var synonyms = map[string][]string{
	"unlimited":  {"infinite", "infinity", "inf", "forever", "none", "no", "off", "-1"},
	"off":        {"never", "none", "no", "disabled", "false", "0"},
	"disabled":   {"off", "never", "none", "no", "disable", "false"},
	"required":   {"on", "yes", "true", "enabled", "enable", "always"},
	"concurrent": {"parallel", "concurrently", "async", "asynchronous", "multi", "multiple", "threaded"},
	"sequential": {"serial", "serially", "sync", "synchronous", "single", "ordered", "one"},
	"exit":       {"stop", "end", "quit", "die", "terminate", "restart", "panic"},
	"standby":    {"wait", "stay", "retry", "continue", "follow", "follower"},
	"lease":      {"leases", "leaselock"},
	"configMap":  {"configmap", "configmaps", "cm", "configmaplock"},
}

// synonymHint finds the word of the language for a value that means the same.
func synonymHint(v cue.Value, s *schemaNode) string {
	text, err := v.String()
	if err != nil {
		text = printed(v)
	}
	for _, word := range s.enum() {
		if slices.Contains(synonyms[word], strings.ToLower(text)) {
			return fmt.Sprintf("write %q", word)
		}
	}
	return ""
}

var looseDuration = regexp.MustCompile(`^\s*((?:0|[1-9][0-9]*)(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*$`)

// durationHint reads what people write for a duration: 30, "5 minutes", "1d".
func durationHint(text string) string {
	m := looseDuration.FindStringSubmatch(strings.ReplaceAll(text, "_", ""))
	if m == nil {
		return ""
	}
	n, unit := m[1], strings.ToLower(m[2])
	switch {
	case unit == "":
		unit = "s"
	case strings.HasPrefix(unit, "milli") || unit == "msec" || unit == "ms":
		unit = "ms"
	case strings.HasPrefix(unit, "sec") || unit == "s":
		unit = "s"
	case strings.HasPrefix(unit, "min") || unit == "m":
		unit = "m"
	case strings.HasPrefix(unit, "hour") || strings.HasPrefix(unit, "hr") || unit == "h":
		unit = "h"
	case strings.HasPrefix(unit, "d") && !strings.Contains(n, "."):
		var days int
		if _, err := fmt.Sscan(n, &days); err != nil || days > 100_000 {
			return ""
		}
		n, unit = fmt.Sprint(days*24), "h"
	default:
		return ""
	}
	return fmt.Sprintf("did you mean %q?", n+unit)
}

var notLabel = regexp.MustCompile(`[^a-z0-9]+`)

// labelHint makes a DNS label of a name.
func labelHint(text string) string {
	label := strings.Trim(notLabel.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if label == "" || label == text || len(label) > 63 {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", label)
}

// newer ends the message of a file whose language this binary does not know yet.
const newer = " is newer than this binary (v1alpha1)"

func isNewer(d Diagnostic) bool { return d.Path == "apiVersion" && strings.HasSuffix(d.Message, newer) }

// versionMessage explains an apiVersion of the file that is not this binary's.
func (d *document) versionMessage(v cue.Value) (message, hint string) {
	const known = apiVersion
	text, err := v.String()
	if err != nil {
		return fmt.Sprintf("want %q, have %s", known, d.have(v)), ""
	}
	group, ver, ok := strings.Cut(text, "/")
	switch {
	case ok && group == "kooperd.dev" && version.CompareKubeAwareVersionStrings(ver, "v1alpha1") > 0 && kubeVersion.MatchString(ver):
		return quote(text) + newer, "upgrade kooperd or write " + fmt.Sprintf("%q", known)
	case closest(text, []string{known}) != "":
		return fmt.Sprintf("want %q, have %s", known, quote(text)), ""
	}
	return fmt.Sprintf("want %q, have %s", known, quote(text)), "is this a kooperd config?"
}

var kubeVersion = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)
