package statusz

import (
	"math"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// None is shown for a figure that there is none of.
const None = "–"

// String is the duration with about two digits, such as 48 ms; None if it is no duration.
func (s Seconds) String() string {
	v := float64(s)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0) || v < 0:
		return None
	case v == 0:
		return "0 s"
	case v < 0.9995e-3:
		return significant(v*1e6) + " µs"
	case v < 0.9995:
		return significant(v*1e3) + " ms"
	case v < 100:
		return significant(v) + " s"
	default:
		return duration.HumanDuration(time.Duration(v * float64(time.Second)))
	}
}

// Rate is how many calls there were in a second, or in a minute if it was less than one.
func (c Calls) Rate() string {
	perSecond := float64(c.Total) / float64(c.Window)
	switch {
	case c.Window <= 0:
		return None
	case c.Total == 0:
		return "0"
	case perSecond >= 1:
		return significant(perSecond) + "/s"
	case perSecond*60 >= 0.1:
		return significant(perSecond*60) + "/min"
	default:
		return "< 0.1/min"
	}
}

// FailedShare is the share of the calls that failed, such as 13 %.
func (c Calls) FailedShare() string {
	if c.Total == 0 || c.Failed == 0 {
		return "0 %"
	}
	share := 100 * float64(c.Failed) / float64(c.Total)
	if share < 0.1 {
		return "< 0.1 %"
	}
	if c.Failed < c.Total && share > 99 {
		return "> 99 %"
	}
	return significant(share) + " %"
}

// ByteSize is a number of bytes in powers of a thousand, such as 3.4 MB.
func ByteSize(n int64) string {
	v := float64(n)
	for _, unit := range []string{"B", "kB", "MB"} {
		if math.Abs(v) < 999.5 {
			return significant(v) + " " + unit
		}
		v /= 1000
	}
	return significant(v) + " GB"
}

// significant is a number with one digit after the point below ten, and with none above.
func significant(v float64) string {
	if v < 9.95 {
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}
