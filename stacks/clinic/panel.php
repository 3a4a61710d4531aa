<?php
// A panel, below the path that the gateway says (SCRIPT_NAME): its own links are relative. The gateway has checked the
// login (REMOTE_USER).
declare(strict_types=1);

require '/srv/common.php';

const PANELS = [
    '/staff' => [
        'title' => 'Staff',
        'rows' => ['09:00' => 'Room 1, first visit', '09:30' => 'Room 2, vaccination', '10:15' => 'Room 1, follow-up'],
    ],
    '/patients' => [
        'title' => 'Patients',
        'rows' => ['Monday 09:30' => 'Vaccination, room 2', 'Thursday 14:00' => 'Follow-up, room 1'],
    ],
];

/** For drills: slow?s=SECONDS */
function slow(): never
{
    $seconds = min(60, max(0, (int) ($_GET['s'] ?? 2)));
    $end = microtime(true) + $seconds;
    while (($left = $end - microtime(true)) > 0) {
        usleep((int) ($left * 1e6)); // ends early when the container is to be stopped
    }
    answer_text(getenv('TASK') . " answered after $seconds s\n");
}

function page(): never
{
    $panel = PANELS[$_SERVER['SCRIPT_NAME']];
    $facts = ['user' => $_SERVER['REMOTE_USER'], 'node' => getenv('NODE'), 'task' => getenv('TASK')];
    if (wants_text()) {
        $lines = array_map(fn (string $name, string $value): string => "$name $value\n", array_keys($facts), $facts);
        answer_text("panel $panel[title]\n" . implode('', $lines));
    }
    $rows = '';
    foreach ($panel['rows'] as $time => $what) {
        $rows .= '<tr><th>' . in_html($time) . '<td>' . in_html($what);
    }
    $user = in_html($facts['user']);
    answer_page($panel['title'], <<<BODY
        <table>$rows</table>
        <form method="post" action="/logout"><p>Logged in as $user. <button>Log out</button></p></form>
        BODY);
}

match ($_SERVER['PATH_INFO']) {
    '/' => page(),
    '/style.css' => answer_style(),
    '/slow' => slow(),
    default => answer_text("not found\n", 404),
};
