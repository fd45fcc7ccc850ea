package explain

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"k8s.io/apimachinery/pkg/version"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/config/internal/suggest"
)

// hintFor guesses what a text was meant to be that a definition of the schema refuses.
func hintFor(ref, text string) string {
	switch ref {
	case "#Duration":
		return suggest.DurationHint(text)
	case "#DNSLabel":
		if text == "" || text == "*" {
			return "leave namespaces out to watch all of them"
		}
		return suggest.LabelHint(text)
	case "#Kind":
		return suggest.KindNameHint(text)
	case "#GroupVersion":
		return suggest.GroupVersionHint(text)
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
func synonymHint(v cue.Value, s *SchemaNode) string {
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

// newer ends the message of a file whose language this binary does not know yet.
const newer = " is newer than this binary (v1alpha1)"

// IsNewer reports whether d says that the file is newer than this binary. Nothing else that is said
// of such a file helps.
func IsNewer(d diagnostic.Diagnostic) bool {
	return d.Path == "apiVersion" && strings.HasSuffix(d.Message, newer)
}

// versionMessage explains an apiVersion of the file that is not this binary's.
func (d *Document) versionMessage(v cue.Value) (message, hint string) {
	const known = language.APIVersion
	text, err := v.String()
	if err != nil {
		return fmt.Sprintf("want %q, have %s", known, d.Have(v)), ""
	}
	group, ver, ok := strings.Cut(text, "/")
	switch {
	case ok && group == "kooperd.dev" && version.CompareKubeAwareVersionStrings(ver, "v1alpha1") > 0 && suggest.KubeVersion.MatchString(ver):
		return diagnostic.Quote(text) + newer, "upgrade kooperd or write " + fmt.Sprintf("%q", known)
	case suggest.Closest(text, []string{known}) != "":
		return fmt.Sprintf("want %q, have %s", known, diagnostic.Quote(text)), ""
	}
	return fmt.Sprintf("want %q, have %s", known, diagnostic.Quote(text)), "is this a kooperd config?"
}
