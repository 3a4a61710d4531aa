<?php
// The Swarm's nodes, and the tasks on each, as the manager's Docker lists them: text for curl, a page for a browser.
declare(strict_types=1);

require '/srv/common.php';

const SOCKET = 'unix:///var/run/docker.sock';
const REFRESH = 5; // seconds
// Tasks that should run; others have ended.
const CURRENT = '{"desired-state":["accepted","ready","running"]}';

/** @return list<array<string, mixed>> */
function docker(string $path): array
{
    $socket = @stream_socket_client(SOCKET, $code, $message, 5);
    if ($socket === false) {
        throw new RuntimeException("Docker's socket: $message");
    }
    stream_set_timeout($socket, 10);
    fwrite($socket, "GET $path HTTP/1.0\r\nHost: docker\r\n\r\n"); // 1.0: no chunks
    [$head, $body] = explode("\r\n\r\n", stream_get_contents($socket) . "\r\n\r\n", 2);
    if (!preg_match('#^HTTP/1\.[01] 200 #', $head)) {
        throw new RuntimeException("Docker: $body");
    }
    return json_decode(rtrim($body), true, flags: JSON_THROW_ON_ERROR);
}

/** Name, role, state and availability of each node, by id. */
function nodes(): array
{
    $found = [];
    foreach (docker('/nodes') as $node) {
        $leads = $node['ManagerStatus']['Leader'] ?? false;
        $found[$node['ID']] = [
            'name' => $node['Description']['Hostname'],
            'role' => $leads ? 'leader' : $node['Spec']['Role'],
            'state' => $node['Status']['State'],
            'availability' => $node['Spec']['Availability'],
        ];
    }
    uasort($found, fn (array $one, array $other): int => strnatcmp($one['name'], $other['name']));
    return $found;
}

/** Name, state and error of each task, by the id of its node; empty: no node yet. */
function tasks(): array
{
    $services = array_column(docker('/services'), null, 'ID');
    $found = [];
    foreach (docker('/tasks?filters=' . rawurlencode(CURRENT)) as $task) {
        $service = $services[$task['ServiceID']]['Spec']['Name'] ?? $task['ServiceID'];
        $found[$task['NodeID'] ?? ''][] = [
            'name' => $service . (isset($task['Slot']) ? '.' . $task['Slot'] : ''),
            'state' => $task['Status']['State'],
            'error' => $task['Status']['Err'] ?? '',
        ];
    }
    foreach ($found as &$listed) {
        usort($listed, fn (array $one, array $other): int => strnatcmp($one['name'], $other['name']));
    }
    return $found;
}

function in_text(array $nodes, array $tasks): string
{
    $text = '';
    foreach ($nodes as $id => $node) {
        $text .= sprintf("%-16s %-8s %-8s %s\n", $node['name'], $node['role'], $node['state'], $node['availability']);
        foreach ($tasks[$id] ?? [] as $task) {
            $text .= rtrim(sprintf('  %-30s %-10s %s', $task['name'], $task['state'], $task['error'])) . "\n";
        }
    }
    return $text;
}

function in_sections(array $nodes, array $tasks): string
{
    $sections = '';
    foreach ($nodes as $id => $node) {
        $good = $node['state'] === 'ready' && $node['availability'] === 'active';
        $class = $good ? 'on' : 'off';
        $items = '';
        foreach ($tasks[$id] ?? [] as $task) {
            $mark = $task['state'] === 'running' ? 'on' : 'off';
            $words = in_html(rtrim("$task[state] $task[error]"));
            $items .= '<li>' . in_html($task['name']) . " <span class=\"$mark\">$words</span>";
        }
        $name = in_html($node['name']);
        $words = in_html(implode(', ', array_filter([$node['role'], $node['state'], $node['availability']])));
        $sections .= "<section><h2>$name</h2><span class=\"$class\">$words</span><ul>$items</ul></section>";
    }
    return "<div class=\"nodes\">$sections</div>";
}

if ($_SERVER['PATH_INFO'] === '/style.css') {
    answer_style();
}
if ($_SERVER['PATH_INFO'] !== '/') {
    answer_text("not found\n", 404);
}
try {
    $nodes = nodes();
    $tasks = tasks();
} catch (RuntimeException | JsonException $error) {
    answer_text($error->getMessage() . "\n", 503);
}
if (isset($tasks[''])) {
    $nodes[''] = ['name' => '(no node)', 'role' => '', 'state' => '', 'availability' => ''];
}
if (wants_text()) {
    answer_text(in_text($nodes, $tasks));
}
answer_page('Nodes and tasks', in_sections($nodes, $tasks), head: '<meta http-equiv="refresh" content="' . REFRESH . '">');
