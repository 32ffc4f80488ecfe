# Sums what each module puts into a binary: awk -f size.awk PACKAGES SYMBOLS, where the first has lines "package module",
# and the second is what `go tool nm -size` says. What has no package of its own (types, strings, tables) is counted in
# proportion in the last column, whose sum is the stripped binary: FILE bytes.
NR == FNR { module[$1] = $2; next }
$3 !~ /^[TtRrDd]$/ || $4 ~ /drbg\.memory$/ || $4 ~ /^(go:func|runtime\.(pclntab|findfunctab|typelink))/ { next } # no part of the file, or shared
{
	name = $4
	sub(/^(type|go):[^a-z]*((eq|hash|itab|struct)\.)?[^a-z]*/, "", name)
	gsub(/%2e/, ".", name)
	sub(/[\[(,{ ].*/, "", name)
	path = name
	sub(/[^\/]*$/, "", path)
	last = substr(name, length(path) + 1)
	sub(/\..*/, "", last)
	m = module[path last]
	if (m != "") { size[m] += $2; sum += $2 }
}
END {
	for (m in size) {
		if (size[m] * FILE / sum < 100000) { rest += size[m]; others++; continue }
		printf "| `%s` | %.2f | %.1f |\n", m, size[m] / 1e6, size[m] / sum * FILE / 1e6
	}
	printf "| %d others | %.2f | %.1f |\n", others, rest / 1e6, rest / sum * FILE / 1e6
}
