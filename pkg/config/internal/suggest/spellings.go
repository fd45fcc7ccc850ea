package suggest

import (
	"fmt"
	"regexp"
	"strings"
)

var looseDuration = regexp.MustCompile(`^\s*((?:0|[1-9][0-9]*)(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*$`)

// DurationHint reads what people write for a duration: 30, "5 minutes", "1d".
func DurationHint(text string) string {
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

// LabelHint makes a DNS label of a name.
func LabelHint(text string) string {
	label := strings.Trim(notLabel.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if label == "" || label == text || len(label) > 63 {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", label)
}

// KubeVersion matches the versions of Kubernetes APIs, such as v1 and v1beta2.
var KubeVersion = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)
