package apply

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"kooperd.dev/kooperd/pkg/kinds"
)

// checkMetadata reports what no object can have in its metadata, and what a child cannot be
// without.
func (c objectCheck) checkMetadata(at place, raw json.RawMessage) {
	var t struct {
		Metadata any `json:"metadata"`
	}
	if at.kind.Kind == "" || json.Unmarshal(raw, &t) != nil {
		return
	}
	metadata, ok := t.Metadata.(map[string]any)
	switch {
	case t.Metadata != nil && !ok: // It is an expression, or a mistake that the type has shown.
		return
	case metadata["name"] == nil && metadata["generateName"] != nil:
		c.report(at.path+".metadata.generateName", "makes a name that is another one each time, and a child is found again by its name", "write name")
	case metadata["name"] == nil || metadata["name"] == "":
		c.report(at.path, "has no metadata.name", `add one, as in name: "${object.metadata.name}"`)
	}
	c.checkScope(at, metadata)
}

// checkText reports a text that can never be valid at its place, whatever its expressions come to,
// and one that looks like an expression and is none.
func (c objectCheck) checkText(s string, segments []segment, at place) {
	switch {
	case at.mustBeMeant(s):
		c.report(at.path, fmt.Sprintf("%.60q is a text and no expression", s), meant(s))
	case at.name == "metadata.name" && at.kind.Kind != "":
		c.checkName(s, segments, at, c.validName(at.kind))
	case at.name == "metadata.namespace" && at.kind.Kind != "":
		c.checkName(s, segments, at, aLabelName)
	case at.isLabel:
		c.checkLabelValue(s, segments, at)
	}
}

// likeExpression is a whole text that is an expression without ${ and }, or in the braces of other
// languages.
var likeExpression = regexp.MustCompile(`^(\$\(|\$|\{\{-?\s*\.?)?((?:object|children|related)(?:\.\??[A-Za-z_]\w*)+)\s*(-?\}\}|\))?$`)

// meant says how a text would be written that is meant to be an expression; "" for any other text.
func meant(s string) string {
	if match := likeExpression.FindStringSubmatch(s); match != nil {
		return fmt.Sprintf("write %q", "${"+match[2]+"}")
	}
	return ""
}

// mustBeMeant reports whether a text is hardly anything but an expression written wrong. Without
// any braces it may be what it is nearly everywhere: a host, or an expression of an admission
// policy.
func (p place) mustBeMeant(s string) bool {
	switch {
	case p.raw || p.isData() || meant(s) == "":
		return false
	case strings.HasPrefix(s, "$") || strings.HasPrefix(s, "{{"):
		return true
	default:
		return (p.name == "metadata.name" || p.name == "metadata.namespace") && likeField.MatchString(s)
	}
}

// likeField is the beginning of a path to a field of the parent.
var likeField = regexp.MustCompile(`^object\.\??(metadata|spec|status)\.`)

// nameRule says what the names of a kind are.
type nameRule struct {
	inside  *regexp.Regexp // what may stand within one
	whole   func(string) []string
	longest int
	words   string
}

var (
	aSubdomain = nameRule{
		inside: regexp.MustCompile(`^[a-z0-9.-]*$`), whole: validation.IsDNS1123Subdomain, longest: validation.DNS1123SubdomainMaxLength,
		words: "small letters, digits, - and ., and begins and ends with a letter or digit",
	}
	aLabelName = nameRule{
		inside: regexp.MustCompile(`^[a-z0-9-]*$`), whole: validation.IsDNS1123Label, longest: validation.DNS1123LabelMaxLength,
		words: "small letters, digits and -, and begins and ends with a letter or digit",
	}
	aPathSegment = nameRule{
		inside: regexp.MustCompile(`^[^/%]*$`), whole: func(string) []string { return nil }, longest: validation.DNS1123SubdomainMaxLength,
		words: "anything but / and %",
	}
)

// validName returns what the names of a kind are. Behind a group that is neither one of Kubernetes
// nor known from a CustomResourceDefinition may be another API server, with rules of its own.
func (c objectCheck) validName(kind schema.GroupVersionKind) nameRule {
	_, err := kinds.BuiltIn().Lookup(kind)
	switch {
	case err != nil && (c.kinds.IsCustom == nil || !c.kinds.IsCustom(kind)):
		return aPathSegment
	case kind.Group == "rbac.authorization.k8s.io", slices.Contains([]string{"CertificateSigningRequest", "ClusterTrustBundle", "IPAddress"}, kind.Kind):
		return aPathSegment
	case kind.Group == "" && (kind.Kind == "Namespace" || kind.Kind == "Service"):
		return aLabelName
	default:
		return aSubdomain
	}
}

// checkName reports a name that can never be one.
func (c objectCheck) checkName(s string, segments []segment, at place, rule nameRule) {
	length, wrong := 0, false
	for _, part := range segments {
		if !part.isExpression {
			wrong, length = wrong || !rule.inside.MatchString(part.literal), length+len(part.literal)
		}
	}
	plain := len(segments) == 1 && !segments[0].isExpression
	ends := func(literal string, at int) bool { return strings.ContainsRune("-.", rune(literal[at])) }
	if n := len(segments); s != "" && rule.words != aPathSegment.words {
		first, last := segments[0], segments[n-1]
		wrong = wrong || !first.isExpression && ends(first.literal, 0) || !last.isExpression && ends(last.literal, len(last.literal)-1)
	}
	wrong = wrong || plain && len(rule.whole(segments[0].literal)) > 0
	switch what := "the name of a " + at.kind.Kind; {
	case at.name == "metadata.namespace":
		c.reportName(wrong || length > rule.longest, s, "the name of a namespace", plain, at, rule)
	case s == "": // checkMetadata has said it.
	default:
		c.reportName(wrong || length > rule.longest, s, what, plain, at, rule)
	}
}

func (c objectCheck) reportName(wrong bool, s, what string, plain bool, at place, rule nameRule) {
	if !wrong {
		return
	}
	hint := ""
	switch fixed := notInName.ReplaceAllString(strings.ToLower(s), "-"); {
	case strings.Contains(s, "{{"):
		hint = `expressions stand in ${ and }, as in "${object.metadata.name}"`
	case plain && rule.words != aPathSegment.words && len(rule.whole(fixed)) == 0 && fixed != s:
		hint = fmt.Sprintf("did you mean %q?", fixed)
	case !plain:
		hint = "what stands around the expressions has to be right by itself"
	}
	c.report(at.path, fmt.Sprintf("%.60q can never be %s: it may have at most %d characters, %s", s, what, rule.longest, rule.words), hint)
}

var notInName = regexp.MustCompile(`[^a-z0-9.-]+`)

// labelInside is what may stand within the value of a label.
var labelInside = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)

// checkLabelValue reports a value that no label can have.
func (c objectCheck) checkLabelValue(s string, segments []segment, at place) {
	length, wrong, plain := 0, false, true
	for _, part := range segments {
		if part.isExpression {
			plain = false
			continue
		}
		wrong, length = wrong || !labelInside.MatchString(part.literal), length+len(part.literal)
	}
	if wrong || length > validation.LabelValueMaxLength || plain && len(segments) > 0 && len(validation.IsValidLabelValue(segments[0].literal)) > 0 {
		hint := "write it into an annotation"
		if strings.Contains(s, "{{") {
			hint = `expressions stand in ${ and }, as in "${object.metadata.name}"`
		}
		c.report(at.path, fmt.Sprintf("%.60q can never be the value of a label: it may have at most %d characters, letters, digits, -, _ and ., and begins and ends with a letter or digit",
			s, validation.LabelValueMaxLength), hint)
	}
}

// checkKey reports a key that no map at its place can have.
func (c objectCheck) checkKey(key string, at, below place) {
	data := at.isData() && !strings.ContainsAny(at.name, ".[")
	switch {
	case at.kind.Kind == "":
	case at.holds == "labels" || at.holds == "annotations":
		if len(validation.IsQualifiedName(strings.ToLower(key))) > 0 && !strings.Contains(key, "${") {
			c.report(below.path, fmt.Sprintf("%.80q can never be the key of a label or annotation", key), `write it as in "example.com/name" or "name", with letters, digits, -, _ and .`)
		}
	case data && len(validation.IsConfigMapKey(key)) > 0 && !strings.Contains(key, "${"):
		c.report(below.path, fmt.Sprintf("%.80q can never be a key in the data of a %s", key, at.kind.Kind), "keys have letters, digits, -, _ and .")
	}
}

// checkNames reports two children that are written to be one object, and are both made for every
// parent.
func (c objectCheck) checkNames(all map[string]*child) {
	type object struct{ kind, namespace, name string }
	first := map[object]string{}
	for _, name := range sortedKeys(all) {
		written := all[name]
		var t shell
		if json.Unmarshal(written.Template, &t) != nil || t.Metadata.Name == "" || written.isPatch() || written.ForEach != "" || written.IncludeWhen != "" || len(written.reads) > 0 {
			continue
		}
		group, _, _ := strings.Cut(t.APIVersion, "/")
		o := object{kind: group + " " + t.Kind, namespace: t.Metadata.Namespace, name: t.Metadata.Name}
		if other, ok := first[o]; ok {
			c.report("children."+quoteLabel(name)+".template.metadata.name", fmt.Sprintf("is that of the child %s as well, and both are a %s: they would be one object", other, t.Kind),
				"give it another name")
			continue
		}
		first[o] = name
	}
}
