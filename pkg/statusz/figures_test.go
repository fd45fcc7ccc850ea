package statusz

import (
	"math"
	"testing"
)

func TestFigures(t *testing.T) {
	for name, tc := range map[string]struct{ got, want string }{
		"no time":              {Seconds(0).String(), "0 s"},
		"microseconds":         {Seconds(0.00042).String(), "420 µs"},
		"almost a millisecond": {Seconds(0.00099999).String(), "1 ms"},
		"milliseconds":         {Seconds(0.0042).String(), "4.2 ms"},
		"many milliseconds":    {Seconds(0.1804).String(), "180 ms"},
		"almost a second":      {Seconds(0.9999).String(), "1 s"},
		"seconds":              {Seconds(41.2).String(), "41 s"},
		"minutes":              {Seconds(300).String(), "5m"},
		"not a number":         {Seconds(math.NaN()).String(), "–"},
		"negative":             {Seconds(-1).String(), "–"},
		"bytes":                {ByteSize(999), "999 B"},
		"kilobytes":            {ByteSize(61_000), "61 kB"},
		"megabytes":            {ByteSize(3_412_000), "3.4 MB"},
		"almost a gigabyte":    {ByteSize(999_900_000), "1 GB"},
		"many gigabytes":       {ByteSize(12_345_000_000_000), "12345 GB"},
		"no rate":              {Calls{}.Rate(), "–"},
		"no calls":             {Calls{Window: 300}.Rate(), "0"},
		"calls a second":       {Calls{Window: 300, Total: 3127}.Rate(), "10/s"},
		"calls a minute":       {Calls{Window: 300, Total: 18}.Rate(), "3.6/min"},
		"few calls":            {Calls{Window: 3600, Total: 1}.Rate(), "< 0.1/min"},
		"none failed":          {Calls{Failed: 0, Total: 10}.FailedShare(), "0 %"},
		"all failed":           {Calls{Failed: 10, Total: 10}.FailedShare(), "100 %"},
		"almost all failed":    {Calls{Failed: 9999, Total: 10000}.FailedShare(), "> 99 %"},
		"some failed":          {Calls{Failed: 412, Total: 3127}.FailedShare(), "13 %"},
		"hardly any failed":    {Calls{Failed: 1, Total: 100000}.FailedShare(), "< 0.1 %"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %q, want %q", name, tc.got, tc.want)
		}
	}
}
